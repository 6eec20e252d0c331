package wire

import (
	"io"
	"net"
	"testing"
)

// startServer starts a server that sends its name to every client.
func startServer(t *testing.T, name string) (address string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if _, err := conn.Write([]byte(name)); err != nil {
				conn.Close()
			}
			t.Cleanup(func() { conn.Close() })
		}
	}()
	stop = func() { listener.Close(); <-done }
	t.Cleanup(stop)
	return listener.Addr().String(), stop
}

// connect connects and returns the one letter that arrives; "" when the connection ends.
func connect(t *testing.T, w *Proxy) (string, net.Conn) {
	t.Helper()
	conn, err := net.Dial("tcp", w.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	name := make([]byte, 1)
	if _, err := io.ReadFull(conn, name); err != nil {
		return "", conn
	}
	return string(name), conn
}

func newWire(t *testing.T, targets ...string) *Proxy {
	t.Helper()
	w, err := New(targets...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestConnectionsTakeTurnsAndPassTheDead(t *testing.T) {
	a, stopA := startServer(t, "a")
	b, _ := startServer(t, "b")
	w := newWire(t, a, b)
	received := ""
	for range 4 {
		name, _ := connect(t, w)
		received += name
	}
	if received != "abab" {
		t.Errorf("received %q, want alternating targets", received)
	}
	stopA()
	for range 2 {
		if name, _ := connect(t, w); name != "b" {
			t.Errorf("received %q, want b", name)
		}
	}
}

func TestACutWireRefusesUntilItIsHealed(t *testing.T) {
	a, _ := startServer(t, "a")
	w := newWire(t, a)
	_, conn := connect(t, w)
	w.Drop()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("an open connection survived")
	}
	if name, _ := connect(t, w); name != "" {
		t.Errorf("received %q over a cut wire", name)
	}
	w.Heal()
	if name, _ := connect(t, w); name != "a" {
		t.Errorf("received %q, want a", name)
	}
}

// Bytes that are held up arrive later, even if Hold was called several times.
func TestAHeldWireDeliversWhenItIsHealed(t *testing.T) {
	a, _ := startServer(t, "a")
	w := newWire(t, a)
	w.Hold()
	first := w.releasedChan()
	w.Hold()
	if w.releasedChan() != first {
		t.Error("a goroutine that waits for the first hold would never continue")
	}
	conn, err := net.Dial("tcp", w.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w.Heal()
	name := make([]byte, 1)
	if _, err := io.ReadFull(conn, name); err != nil || string(name) != "a" {
		t.Errorf("received %q, error %v, want a", name, err)
	}
}
