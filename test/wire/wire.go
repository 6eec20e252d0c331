// Package wire provides a TCP proxy between two parts of a system that a test can hold up, cut or
// redirect.
package wire

import (
	"context"
	"io"
	"net"
	"sync"
)

// Proxy forwards TCP connections. Bytes that are held up arrive after Heal, as behind a switch that
// was stuck. Its methods are safe for concurrent use.
type Proxy struct {
	listener net.Listener

	mu       sync.Mutex
	targets  []string // the first is tried first
	conns    map[net.Conn]struct{}
	released chan struct{} // closed while bytes may pass
	cut      bool
	owned    sync.WaitGroup
}

// New listens on loopback and forwards each connection to one of the targets, HOST:PORT, in turn.
// When a target refuses, it tries the next one. The caller must call Close.
func New(targets ...string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &Proxy{listener: listener, targets: targets, conns: map[net.Conn]struct{}{}, released: make(chan struct{})}
	close(w.released)
	w.owned.Go(w.accept)
	return w, nil
}

// Address returns the listening address, HOST:PORT.
func (w *Proxy) Address() string { return w.listener.Addr().String() }

// Close ends every connection and waits for all goroutines of the wire.
func (w *Proxy) Close() {
	w.listener.Close()
	w.Drop()
	w.Heal()
	w.owned.Wait()
}

func (w *Proxy) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.owned.Go(func() { w.serve(client) })
	}
}

func (w *Proxy) serve(client net.Conn) {
	defer client.Close()
	server := w.dial()
	if server == nil {
		return
	}
	defer server.Close()
	defer w.removeConns(client, server)
	if !w.addConns(client, server) {
		return
	}
	var both sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{client: server, server: client} {
		both.Go(func() {
			w.copy(to, from)
			client.Close()
			server.Close()
		})
	}
	both.Wait()
}

// dial connects to the target whose turn it is, or to the next one that accepts; it returns nil
// when none does.
func (w *Proxy) dial() net.Conn {
	w.mu.Lock()
	order, cut := w.targets, w.cut
	if len(order) > 1 {
		w.targets = append(append([]string{}, order[1:]...), order[0])
	}
	w.mu.Unlock()
	for _, target := range order {
		if cut {
			return nil
		}
		if server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", target); err == nil {
			return server
		}
	}
	return nil
}

// copy forwards bytes; while the wire is held up it waits.
func (w *Proxy) copy(to io.Writer, from io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			<-w.releasedChan()
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (w *Proxy) releasedChan() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.released
}

func (w *Proxy) addConns(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range conns {
		w.conns[conn] = struct{}{}
	}
	return !w.cut
}

func (w *Proxy) removeConns(conns ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range conns {
		delete(w.conns, conn)
	}
}

// Hold stops all bytes without closing a connection.
func (w *Proxy) Hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.released:
		w.released = make(chan struct{})
	default: // it is held up already
	}
}

// Drop closes every connection and refuses new ones.
func (w *Proxy) Drop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for conn := range w.conns {
		conn.Close()
	}
}

// Heal ends the effects of Hold and Drop.
func (w *Proxy) Heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
	select {
	case <-w.released:
	default:
		close(w.released)
	}
}

// Redirect redirects new connections to other targets; open connections stay where they are.
func (w *Proxy) Redirect(targets ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.targets = targets
}
