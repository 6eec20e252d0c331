package drills_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// wire is a TCP connection between two parts that a test can hold up or cut, and lead elsewhere.
// What is held up arrives when the wire is healed, as behind a switch that was stuck.
type wire struct {
	listener net.Listener

	mu     sync.Mutex
	target string
	open   map[net.Conn]struct{}
	held   chan struct{} // closed while bytes may pass
	cut    bool
	owned  sync.WaitGroup
}

// newWire listens on loopback and passes everything on to target.
func newWire(t *testing.T, target string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: listener, target: target, open: map[net.Conn]struct{}{}, held: make(chan struct{})}
	close(w.held)
	w.owned.Go(w.accept)
	t.Cleanup(func() {
		listener.Close()
		w.drop()
		w.heal()
		w.owned.Wait()
	})
	return w
}

func (w *wire) address() string { return w.listener.Addr().String() }

func (w *wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.owned.Go(func() { w.serve(near) })
	}
}

func (w *wire) serve(near net.Conn) {
	defer near.Close()
	w.mu.Lock()
	target, cut := w.target, w.cut
	w.mu.Unlock()
	if cut {
		return
	}
	far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", target)
	if err != nil {
		return
	}
	defer far.Close()
	if !w.keep(near, far) {
		return
	}
	defer w.forget(near, far)
	var both sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{near: far, far: near} {
		both.Go(func() {
			w.copy(to, from)
			near.Close()
			far.Close()
		})
	}
	both.Wait()
}

// copy passes bytes on while the wire is not held up.
func (w *wire) copy(to io.Writer, from io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			<-w.passing()
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (w *wire) passing() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held
}

func (w *wire) keep(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range conns {
		w.open[conn] = struct{}{}
	}
	return !w.cut
}

func (w *wire) forget(conns ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range conns {
		delete(w.open, conn)
	}
}

// hold stops all bytes, without a word to either side.
func (w *wire) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = make(chan struct{})
}

// drop breaks every connection and refuses new ones.
func (w *wire) drop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for conn := range w.open {
		conn.Close()
	}
}

// heal ends hold and drop.
func (w *wire) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
	select {
	case <-w.held:
	default:
		close(w.held)
	}
}

// lead takes new connections elsewhere; those that are open stay where they are.
func (w *wire) lead(target string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.target = target
}
