package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// listen binds an address; an occupied one is explained with its flag.
func listen(ctx context.Context, flag, address string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s %s: the port is in use by another process; stop it or choose another address: %w", flag, address, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, address, err)
	}
	return listener, nil
}

// crowdedPerSource is what one address may hold of a listener that is three quarters full.
const crowdedPerSource = 4

// limitedListener closes connections beyond a cap per source and in all, before
// anything of them is read.
type limitedListener struct {
	net.Listener
	name      string
	perSource int
	total     int // 0: no bound over all sources
	metrics   *Metrics

	mu   sync.Mutex
	open map[netip.Prefix]int
	all  int
}

func newLimitedListener(inner net.Listener, name string, perSource, total int, metrics *Metrics) *limitedListener {
	return &limitedListener{Listener: inner, name: name, perSource: perSource, total: total, metrics: metrics, open: map[netip.Prefix]int{}}
}

// Accept returns the next connection within the limits.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := peer.Source(addressOf(conn.RemoteAddr()))
		if l.take(from) {
			l.metrics.connections.WithLabelValues(l.name).Inc()
			taken := &limitedConn{Conn: conn}
			taken.onClose(func() { l.release(from) })
			return taken, nil
		}
		l.metrics.refuse(l.name, "TooManyConnections")
		abort(conn)
	}
}

func (l *limitedListener) take(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from] >= l.perSource || (l.total > 0 && l.all >= l.total) {
		return false
	}
	// The last quarter is for addresses that hold little: a few greedy ones cannot fill it.
	if l.total > 0 && l.all >= l.total*3/4 && l.open[from] >= crowdedPerSource {
		return false
	}
	l.open[from]++
	l.all++
	return true
}

func (l *limitedListener) release(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.open[from]--; l.open[from] <= 0 {
		delete(l.open, from)
	}
	l.metrics.connections.WithLabelValues(l.name).Dec()
}

// abort closes without waiting: no FIN_WAIT for connections that were never taken.
func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.SetDeadline(time.Unix(0, 0))
	_ = conn.Close()
}

// limitedConn is a connection that holds places until it is closed.
type limitedConn struct {
	net.Conn

	mu       sync.Mutex
	closed   bool
	releases []func()
}

// onClose gives back one more place when the connection is closed, at once if it is.
func (c *limitedConn) onClose(release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		release()
		return
	}
	c.releases = append(c.releases, release)
}

// Close gives the places back, once.
func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, release := range c.releases {
		release()
	}
	c.releases = nil
	return err
}
