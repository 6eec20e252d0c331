// Package session keeps the machine connected to the cluster. It dials the node listener and sends
// Hello. It passes offers to the executor and outcomes to the gateway, and reconnects whenever the
// connection ends.
package session

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/console"
	"github.com/mooring-dev/mooring/nodeagent/identity/credentials"
	"github.com/mooring-dev/mooring/nodeagent/identity/renew"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/executor"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
	"github.com/mooring-dev/mooring/nodeagent/session/gatewaytime"
	"github.com/mooring-dev/mooring/nodeagent/transport"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

// Options configure a Runner; all fields are required.
type Options struct {
	Credentials *credentials.Credentials
	// Renewer keeps the certificate of the credentials valid.
	Renewer *renew.Renewer
	// Dialer opens the connections to gateways.
	Dialer   link.Dialer
	Journal  *journal.Journal
	Executor *executor.Executor
	Registry *capability.Registry
	System   *gatewayv1.SystemInfo
	BootID   string
	Clock    *gatewaytime.Clock
	// Now returns the machine's own time, which decides about certificates.
	Now func() time.Time
	// Jitter returns a random number in [0, 1).
	Jitter  func() float64
	Console *console.Console
	Log     *slog.Logger
	// Retry sets the pauses between dials.
	Retry *backoff.Backoff
	// Transport carries the sessions.
	Transport transport.Kind
	// StreamProbe is the time for which auto polls before it first tries a stream again.
	StreamProbe time.Duration
	// Observer receives the events of the sessions.
	Observer Observer
}

// Observer receives the events of the sessions, one session after the other.
type Observer interface {
	// CapabilitiesGranted receives the granted capabilities.
	CapabilitiesGranted(granted []string)
	// SessionOpened receives an open session; skew is the lead of the gateway's clock.
	SessionOpened(session, transport string, skew time.Duration)
	// SessionClosed receives the end of a session or of a failed attempt. problem is for people and
	// empty for an end without an error. reason is the reason of the gateway's denial, if it sent
	// one. The next attempt comes after retry.
	SessionClosed(problem, reason string, retry time.Duration)
}

// Runner runs one session after the other.
type Runner struct {
	Options
	gateways   *link.Gateways
	transport  *transport.Chooser
	deliveries *deliveryQueue
}

// New returns a Runner.
func New(o Options) *Runner {
	gateways := link.NewGateways(o.Dialer, strings.Split(o.Credentials.Endpoint(), ","), o.Clock.Now)
	return &Runner{Options: o, gateways: gateways, transport: transport.NewChooser(o.Transport, o.StreamProbe), deliveries: newDeliveryQueue()}
}

// The reasons for which the agent itself ends a session.
var (
	errStopped = errors.New("agent stops")
	errRenewed = errors.New("certificate was renewed")
	errProbe   = errors.New("a stream is tried again")
)

// drainError is the error of a session that ends because its gateway drains.
type drainError struct{ reconnectAfter time.Duration }

func (d *drainError) Error() string { return "gateway drains" }

// Run runs sessions until ctx ends, and returns after the last session was closed gracefully. It
// returns an error only when the journal cannot count a dial: a session with an old dial counter
// would mislead the gateway.
func (r *Runner) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		counter, err := r.Journal.IncrementDialCounter()
		if err != nil {
			return err
		}
		began := r.Now()
		kind, probe := r.transport.Next()
		r.Log.DebugContext(ctx, "transport chosen", "transport", kind, "configured", r.Transport, "brokenStreams", r.transport.BrokenStreams(), "streamProbe", probe)
		progress, err := r.runSession(ctx, counter)
		duration := r.Now().Sub(began)
		if progress.welcomed && duration >= transport.StableDuration {
			r.Retry.Reset()
		}
		if progress.address != "" && !errors.Is(err, errRenewed) && !errors.Is(err, errProbe) {
			r.gateways.Avoid(progress.address)
		}
		r.recordTransport(kind, progress, duration, err)
		if ctx.Err() == nil {
			delay, problem := r.planRedial(err)
			denial := link.DenialReason(err)
			r.Observer.SessionClosed(problem, denial, delay)
			r.Log.Info("session ended", "reason", err, "denial", denial, "transport", kind, "welcomed", progress.welcomed, "reconnectIn", delay)
			_ = backoff.Sleep(ctx, delay) // the loop checks ctx
		}
	}
	return nil
}

// recordTransport records the end of a session for the choice of the next transport.
func (r *Runner) recordTransport(kind transport.Kind, progress sessionProgress, duration time.Duration, err error) {
	if errors.Is(err, errProbe) {
		r.transport.ProbeStream()
		return
	}
	r.transport.SessionEnded(kind, duration, progress.registered && isBreak(err))
}

// isBreak reports whether the network may have broken a session. It returns false when the gateway
// refused the session or either side ended it on purpose.
func isBreak(err error) bool {
	var drain *drainError
	if errors.Is(err, errRenewed) || errors.Is(err, errStopped) || errors.As(err, &drain) {
		return false
	}
	return transport.IsConnectionBreak(err)
}

// planRedial returns the delay before the next dial, and prints the problem, if there is one, for
// people.
func (r *Runner) planRedial(err error) (delay time.Duration, problem string) {
	var drain *drainError
	switch {
	case errors.Is(err, errRenewed), errors.Is(err, errProbe):
		return 0, ""
	case errors.As(err, &drain):
		// The jitter is needed because the gateway sent the same delay to all machines.
		return drain.reconnectAfter + time.Duration(r.Jitter()*float64(time.Second)), ""
	}
	problem = r.describeError(err)
	line := problem
	if next := link.ExplainDenial(link.DenialReason(err)).NextStep; next != "" {
		line += ". Next step: " + next
	}
	r.Console.PrintOnceFor(problemKey(err, problem), "%s", line)
	if status.Code(err) == codes.PermissionDenied && r.Credentials.SwitchKey() {
		r.Log.Warn("the gateway refuses this key; trying the other key of the last rotation")
	}
	return r.Retry.Next(), problem
}
