package nodeagent

import (
	"cmp"
	"context"
	mathrand "math/rand/v2"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/hostinfo"
	"github.com/mooring-dev/mooring/nodeagent/run/executor"
	"github.com/mooring-dev/mooring/nodeagent/session"
	"github.com/mooring-dev/mooring/nodeagent/session/gatewaytime"
	"github.com/mooring-dev/mooring/nodeagent/transport"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
)

// MaxReconnectDelay is the longest wait of a machine between two attempts to connect.
const MaxReconnectDelay = 5 * time.Minute

// newSessions returns the Runner of this machine's sessions.
func (a *agent) newSessions(ctx context.Context, clock *gatewaytime.Clock, exec *executor.Executor) *session.Runner {
	return session.New(session.Options{
		Credentials: a.credentials, Renewer: a.newRenewer(), Dialer: a.Dialer,
		Journal: a.journal, Executor: exec, Registry: a.registry, System: a.system, BootID: hostinfo.BootID(ctx),
		Clock: clock, Now: a.Now, Jitter: mathrand.Float64, Console: a.console, Log: a.Log, Retry: newReconnectBackoff(),
		Transport: cmp.Or(a.Transport, transport.Auto), StreamProbe: cmp.Or(a.StreamProbe, transport.DefaultStreamProbe),
		Observer: a.tracker,
	})
}

// newReconnectBackoff returns the backoff of connection attempts: it starts at 1 s and has full
// jitter.
func newReconnectBackoff() *backoff.Backoff { return backoff.New(time.Second, MaxReconnectDelay) }
