// Package wire provides a TCP proxy between two parts of a system that a test can hold up, cut or
// redirect.
package wire

import (
	"context"
	"io"
	"net"
	"sync"
)

// Wire forwards TCP connections. Bytes that are held up arrive after Heal, as behind a switch that
// was stuck. Its methods are safe for concurrent use.
type Wire struct {
	listener net.Listener

	mu      sync.Mutex
	targets []string // the first is tried first
	open    map[net.Conn]struct{}
	held    chan struct{} // closed while bytes may pass
	cut     bool
	owned   sync.WaitGroup
}

// New listens on loopback and forwards each connection to one of the targets, HOST:PORT, in turn.
// When a target refuses, it tries the next one. The caller must call Close.
func New(targets ...string) (*Wire, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &Wire{listener: listener, targets: targets, open: map[net.Conn]struct{}{}, held: make(chan struct{})}
	close(w.held)
	w.owned.Go(w.accept)
	return w, nil
}

// Address returns the listening address, HOST:PORT.
func (w *Wire) Address() string { return w.listener.Addr().String() }

// Close ends every connection and waits for all goroutines of the wire.
func (w *Wire) Close() {
	w.listener.Close()
	w.Drop()
	w.Heal()
	w.owned.Wait()
}

func (w *Wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.owned.Go(func() { w.serve(near) })
	}
}

func (w *Wire) serve(near net.Conn) {
	defer near.Close()
	far := w.dial()
	if far == nil {
		return
	}
	defer far.Close()
	defer w.forget(near, far)
	if !w.keep(near, far) {
		return
	}
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

// dial connects to the target whose turn it is, or to the next one that accepts; it returns nil
// when none does.
func (w *Wire) dial() net.Conn {
	w.mu.Lock()
	turn, cut := w.targets, w.cut
	if len(turn) > 1 {
		w.targets = append(append([]string{}, turn[1:]...), turn[0])
	}
	w.mu.Unlock()
	for _, target := range turn {
		if cut {
			return nil
		}
		if far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", target); err == nil {
			return far
		}
	}
	return nil
}

// copy forwards bytes; while the wire is held up it waits.
func (w *Wire) copy(to io.Writer, from io.Reader) {
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

func (w *Wire) passing() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held
}

func (w *Wire) keep(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range conns {
		w.open[conn] = struct{}{}
	}
	return !w.cut
}

func (w *Wire) forget(conns ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range conns {
		delete(w.open, conn)
	}
}

// Hold stops all bytes without closing a connection.
func (w *Wire) Hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.held:
		w.held = make(chan struct{})
	default: // it is held up already
	}
}

// Drop closes every connection and refuses new ones.
func (w *Wire) Drop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for conn := range w.open {
		conn.Close()
	}
}

// Heal ends the effects of Hold and Drop.
func (w *Wire) Heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
	select {
	case <-w.held:
	default:
		close(w.held)
	}
}

// Lead redirects new connections to other targets; open connections stay where they are.
func (w *Wire) Lead(targets ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.targets = targets
}
