package sim

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/mooring-dev/mooring/nodeagent"
	"github.com/mooring-dev/mooring/nodeagent/transport"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

// Agent is one real agent of a Fleet: the library of mooring-agent with its own identity directory,
// journal and connections.
type Agent struct {
	// Name is the name of its Node; Source is the loopback address from which it dials.
	Name, Source string

	fleet   *Fleet
	options nodeagent.Options

	mu          sync.Mutex
	cancel      context.CancelFunc // nil before the first start
	done        chan struct{}
	connections map[*trackedConn]struct{}
	online      bool
	sessions    int       // sessions that opened
	openedAt    time.Time // when the newest of them did
	transport   transport.Kind
	endedAt     time.Time // when the last connection with a session was closed
	endReason   string    // why the last session ended
	err         error     // the result of Run; valid after done
}

// start runs the agent until stop is called.
func (a *Agent) start(parent context.Context) {
	ctx, cancel := context.WithCancel(parent)
	options, done := a.options, make(chan struct{})
	options.Log, options.Out = slog.New(&sessionHandler{agent: a}), io.Discard
	options.Dialer = link.Dialer{DialContext: a.dial, Options: []grpc.DialOption{grpc.WithStreamInterceptor(a.fleet.withStreamFaults)}}
	a.mu.Lock()
	a.cancel, a.done = cancel, done
	a.mu.Unlock()
	go func() {
		defer close(done)
		err := nodeagent.Run(ctx, options)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.err = err
	}()
}

// stop ends a running agent as SIGTERM does.
func (a *Agent) stop() {
	a.mu.Lock()
	cancel, done := a.cancel, a.done
	a.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
}

func (a *Agent) started() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cancel != nil
}

// Restart ends the agent and starts it again with the content of its directory.
func (a *Agent) Restart() {
	a.stop()
	a.start(a.fleet.agentCtx)
}

// dial opens a connection; on loopback it dials from the agent's own address.
func (a *Agent) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{}
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().IsLoopback() {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(a.Source)}
	}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	watched := &trackedConn{Conn: a.fleet.withNetworkFaults(conn), agent: a}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.connections[watched] = struct{}{}
	return watched, nil
}

// Cut breaks the agent's connections as a network failure would; the agent reconnects by itself.
func (a *Agent) Cut() {
	a.mu.Lock()
	var open []*trackedConn
	for conn := range a.connections {
		open = append(open, conn)
	}
	a.mu.Unlock()
	for _, conn := range open {
		_ = conn.Conn.Close()
	}
}

// Online reports whether the agent has a session.
func (a *Agent) Online() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.online
}

// Ended returns when and why the last session ended; zero values before the first end.
func (a *Agent) Ended() (time.Time, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.endedAt, a.endReason
}

// Opened returns when the newest session opened, and its transport.
func (a *Agent) Opened() (time.Time, transport.Kind) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.openedAt, a.transport
}

// Sessions returns the number of sessions that opened.
func (a *Agent) Sessions() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sessions
}

// trackedConn removes itself from the agent's connections when it is closed.
type trackedConn struct {
	net.Conn
	agent *Agent
}

// Close closes the connection.
func (c *trackedConn) Close() error {
	c.agent.mu.Lock()
	delete(c.agent.connections, c)
	c.agent.mu.Unlock()
	return c.Conn.Close()
}

// sessionHandler tracks the sessions of an agent by its log, which records each start and end at once.
type sessionHandler struct{ agent *Agent }

// Enabled accepts records of level Info and above.
func (w *sessionHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

// WithAttrs returns w: the two messages carry all attributes that are read.
func (w *sessionHandler) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup returns w.
func (w *sessionHandler) WithGroup(string) slog.Handler { return w }

// Handle updates the agent's session state from a record.
func (w *sessionHandler) Handle(_ context.Context, record slog.Record) error {
	a := w.agent
	a.mu.Lock()
	defer a.mu.Unlock()
	switch record.Message {
	case "session open":
		a.online, a.openedAt = true, record.Time
		a.sessions++
		record.Attrs(func(attr slog.Attr) bool {
			if attr.Key == "transport" {
				a.transport = transport.Kind(attr.Value.String())
			}
			return attr.Key != "transport"
		})
	case "session ended":
		record.Attrs(func(attr slog.Attr) bool {
			if attr.Key == "reason" {
				a.endReason = fmt.Sprint(attr.Value.Any())
			}
			return attr.Key != "reason"
		})
		if a.online {
			a.endedAt = record.Time
		}
		a.online = false
	}
	return nil
}

// Dir returns the agent's identity directory.
func (a *Agent) Dir() string { return a.options.Dir }
