package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// sweepInterval is the interval at which the deadlines of connections are checked.
const sweepInterval = 250 * time.Millisecond

// listen binds an address. The error for a port in use names the flag.
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

// limitedListener accepts connections within the bounds of phases.go. Accept returns a connection
// that has a turn for its handshake and has sent its first byte.
type limitedListener struct {
	net.Listener
	name       string
	slots      *connSlots
	handshakes *handshakeScheduler
	budget     *receiveBudget
	refusals   *refusalReporter
	metrics    *Metrics

	ready     chan *limitedConn
	failed    chan error    // errors of the inner Accept
	done      chan struct{} // closed by Close
	close     sync.Once
	accepting sync.WaitGroup
	running   sync.WaitGroup
}

func newLimitedListener(inner net.Listener, name string, slots *connSlots, bounds bounds, refusals *refusalReporter, metrics *Metrics) *limitedListener {
	l := &limitedListener{
		Listener: inner, name: name, slots: slots, refusals: refusals, metrics: metrics,
		budget: newReceiveBudget(name, bounds.receive, metrics),
		ready:  make(chan *limitedConn), failed: make(chan error), done: make(chan struct{}),
	}
	l.handshakes = newHandshakeScheduler(bounds.handshake, func(c *limitedConn) { l.running.Go(func() { l.startHandshake(c) }) })
	return l
}

// run accepts connections until Close.
func (l *limitedListener) run() {
	l.accepting.Go(l.acceptAll)
	l.running.Go(l.sweep)
}

// Accept returns the next connection whose handshake may begin.
func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case err := <-l.failed:
		return nil, err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close stops listening, closes the connections that Accept has not returned, and waits until its
// goroutines have ended.
func (l *limitedListener) Close() (err error) {
	l.close.Do(func() {
		err = l.Listener.Close()
		close(l.done)
		l.accepting.Wait()
		for _, c := range l.handshakes.stop() {
			c.abort()
		}
	})
	l.running.Wait()
	return err
}

func (l *limitedListener) acceptAll() {
	for {
		conn, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select {
			case l.failed <- err: // grpc waits before it accepts again
				continue
			case <-l.done:
				return
			}
		}
		l.register(conn)
	}
}

// register counts a new connection and queues it for its turn.
func (l *limitedListener) register(conn net.Conn) {
	now := time.Now()
	c := &limitedConn{Conn: conn, listener: l, source: peer.Source(addressOf(conn.RemoteAddr())), accepted: now}
	l.metrics.connections.WithLabelValues(l.name).Inc()
	victim, ok := l.slots.acquire(c, now)
	if victim != nil {
		l.metrics.countRefused(l.name, reasonMadeRoom)
		victim.abort()
	}
	if !ok {
		l.metrics.countRefused(l.name, reasonTooManyConnections)
		c.abort()
		return
	}
	l.handshakes.enqueue(c, now)
}

// sleep waits for d, or until Close.
func (l *limitedListener) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.done:
	}
}

// handleClosed releases the limits of a closed connection.
func (l *limitedListener) handleClosed(c *limitedConn) {
	l.metrics.connections.WithLabelValues(l.name).Dec()
	l.slots.release(c)
	l.handshakes.release(c)
}

// startHandshake waits for the first byte and hands the connection to grpc.
func (l *limitedListener) startHandshake(c *limitedConn) {
	if err := c.readFirstBytes(); err != nil {
		if !errors.Is(err, net.ErrClosed) {
			l.metrics.countRefused(l.name, reasonClosed)
		}
		c.abort()
		return
	}
	if c.first[0] != recordTypeHandshake {
		l.refusals.report(c, reasonPlainText, errPlainText)
		c.abort()
		return
	}
	select {
	case l.ready <- c:
	case <-l.done:
		c.abort()
	}
}

// sweep closes connections that exceed their deadline.
func (l *limitedListener) sweep() {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-l.done:
			return
		case now := <-tick.C:
			for _, c := range l.handshakes.expired(now) {
				if c.firstByteReceived.Load() {
					l.refusals.report(c, reasonHandshakeTimeout, errHandshakeTimeout)
				} else {
					l.metrics.countRefused(l.name, reasonSilent)
				}
				c.abort()
			}
			l.budget.closeLate(now)
		}
	}
}
