package wire

import (
	"io"
	"net"
	"testing"
)

// speaker starts a server that sends its name to every client.
func speaker(t *testing.T, name string) (address string, stop func()) {
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

// meet connects and returns the one letter that arrives; "" when the connection ends.
func meet(t *testing.T, w *Wire) (string, net.Conn) {
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

func newWire(t *testing.T, targets ...string) *Wire {
	t.Helper()
	w, err := New(targets...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestConnectionsTakeTurnsAndPassTheDead(t *testing.T) {
	a, stopA := speaker(t, "a")
	b, _ := speaker(t, "b")
	w := newWire(t, a, b)
	heard := ""
	for range 4 {
		name, _ := meet(t, w)
		heard += name
	}
	if heard != "abab" {
		t.Errorf("received %q, want alternating targets", heard)
	}
	stopA()
	for range 2 {
		if name, _ := meet(t, w); name != "b" {
			t.Errorf("received %q, want b", name)
		}
	}
}

func TestACutWireRefusesUntilItIsHealed(t *testing.T) {
	a, _ := speaker(t, "a")
	w := newWire(t, a)
	_, conn := meet(t, w)
	w.Drop()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("an open connection survived")
	}
	if name, _ := meet(t, w); name != "" {
		t.Errorf("received %q over a cut wire", name)
	}
	w.Heal()
	if name, _ := meet(t, w); name != "a" {
		t.Errorf("received %q, want a", name)
	}
}

// Bytes that are held up arrive later, even if Hold was called several times.
func TestAHeldWireDeliversWhenItIsHealed(t *testing.T) {
	a, _ := speaker(t, "a")
	w := newWire(t, a)
	w.Hold()
	first := w.passing()
	w.Hold()
	if w.passing() != first {
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
