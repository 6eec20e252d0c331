// Package session keeps the machine in touch: it dials the node listener, says
// Hello, hands offers to the executor and outcomes to the gateway, renews the
// certificate, and comes back whenever the connection ends.
package session

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/backoff"
	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/nodeagent/console"
	"github.com/mooring-dev/mooring/nodeagent/executor"
	"github.com/mooring-dev/mooring/nodeagent/journal"
	"github.com/mooring-dev/mooring/nodeagent/link"
)

// stable is how long a session must have lasted for its end to be no failure.
const stable = time.Minute

// Options are what a Runner needs; all fields are required.
type Options struct {
	Credentials *Credentials
	Journal     *journal.Journal
	Executor    *executor.Executor
	Registry    *capability.Registry
	System      *gatewayv1.SystemInfo
	BootID      string
	Clock       *Clock
	// Now is the machine's own time: certificates are judged by it.
	Now  func() time.Time
	Rand io.Reader
	// Jitter draws from [0, 1).
	Jitter  func() float64
	Console *console.Console
	Log     *slog.Logger
	// Retry spaces out the dials.
	Retry *backoff.Backoff
	// RenewPause is how long a session lasts at least before the certificate is
	// renewed: one that was issued late in its own life must not make a tight loop.
	RenewPause time.Duration
	// Transport carries the sessions.
	Transport Transport
	// StreamProbe is how long auto polls before it tries a stream again, for the first time.
	StreamProbe time.Duration
	// RotateKeyEvery is the age at which a renewal also gets a new key; 0 is never.
	RotateKeyEvery time.Duration
	// Observer hears what becomes of the sessions.
	Observer Observer
}

// Observer hears what becomes of the sessions, one after the other.
type Observer interface {
	// Registered: these capabilities are granted.
	Registered(granted []string)
	// Opened: a session is open; the gateway's clock was that much ahead.
	Opened(session, transport string, skew time.Duration)
	// Closed: it ended, or could not be opened. problem is for people, empty when it ended
	// in good order; another is tried after retry.
	Closed(problem string, retry time.Duration)
}

// Runner holds one session after the other.
type Runner struct {
	Options
	gateways   *link.Gateways
	transport  chooser
	deliveries *delivery
}

// New makes a Runner.
func New(o Options) *Runner {
	gateways := link.NewGateways(strings.Split(o.Credentials.Endpoint(), ","), o.Clock.Now)
	return &Runner{Options: o, gateways: gateways, transport: chooser{want: o.Transport, first: o.StreamProbe}, deliveries: newDelivery()}
}

// Why a session ends on purpose.
var (
	errStopped = errors.New("agent stops")
	errRenewed = errors.New("certificate was renewed")
)

// drained is the wish of a gateway that it be left.
type drained struct{ after time.Duration }

func (d *drained) Error() string { return "gateway drains" }

// Run holds sessions until ctx ends; then it has said goodbye. It errs only when
// the journal cannot count a dial: without that count a session would be untruthful.
func (r *Runner) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		counter, err := r.Journal.NextDial()
		if err != nil {
			return err
		}
		began := r.Now()
		carried, _ := r.transport.next()
		far, err := r.hold(ctx, counter)
		lasted := r.Now().Sub(began)
		if far.welcomed && lasted >= stable {
			r.Retry.Reset()
		}
		if far.address != "" && !errors.Is(err, errRenewed) && !errors.Is(err, errProbe) {
			r.gateways.Avoid(far.address)
		}
		r.transport.ended(carried, far.registered, lasted, err)
		if ctx.Err() == nil {
			delay, problem := r.pause(err)
			r.Observer.Closed(problem, delay)
			r.Log.Info("session ended", "reason", err, "transport", carried, "welcomed", far.welcomed, "reconnectIn", delay)
			_ = backoff.Sleep(ctx, delay) // the loop looks at ctx
		}
	}
	return nil
}

// pause decides when to dial again, and tells the person what is wrong, if anything is.
func (r *Runner) pause(err error) (delay time.Duration, problem string) {
	var drain *drained
	switch {
	case errors.Is(err, errRenewed), errors.Is(err, errProbe):
		return 0, ""
	case errors.As(err, &drain):
		// Some jitter on top: the others were told the same.
		return drain.after + time.Duration(r.Jitter()*float64(time.Second)), ""
	}
	problem = r.explain(err)
	r.Console.SayOnceFor(sameProblem(err, problem), "%s", problem)
	if status.Code(err) == codes.PermissionDenied && r.Credentials.switchKey() {
		r.Log.Warn("the gateway refuses this key; trying the other one of the last rotation")
	}
	return r.Retry.Next(), problem
}

// sameProblem identifies a problem from one try to the next: the sentence about a certificate that is
// out of its time holds the time.
func sameProblem(err error, problem string) string {
	var untrusted *identity.CertificateError
	if errors.As(err, &untrusted) {
		return untrusted.Reason
	}
	return problem
}

func (r *Runner) explain(err error) string {
	endpoint := r.Credentials.Endpoint()
	message := foreign.Brief(status.Convert(err).Message())
	leaf := r.Credentials.Identity().Leaf()
	var refusal *link.Refusal
	var untrusted *identity.CertificateError
	var clock *clockAheadError
	switch {
	case errors.As(err, &clock):
		message = clock.Error()
		return strings.ToUpper(message[:1]) + message[1:] + "; trying on"
	case r.lapsed():
		return "The certificate of this machine expired at " + leaf.NotAfter.UTC().Format(time.RFC3339) +
			" and cannot be recovered (" + message + "): if that stays so, pair the machine again with another --identity-dir; trying on"
	case status.Code(err) == codes.PermissionDenied:
		return "Gateway " + endpoint + " refuses this machine (" + message + "): if its Node was revoked or deleted, pair it again with another --identity-dir; trying on"
	case status.Code(err) == codes.Unauthenticated, errors.As(err, &refusal):
		if refusal != nil {
			message = foreign.Brief(refusal.Error())
		}
		return "Gateway " + endpoint + " does not accept the certificate of this machine (" + message + "); trying on"
	case status.Code(err) == codes.Aborted:
		return "Another session of this Node took over (" + message + "): is a copy of the identity directory in use? trying on"
	case errors.As(err, &untrusted):
		return "Gateway " + endpoint + " cannot be trusted (" + foreign.Brief(untrusted.Detail) + "); trying on"
	case link.Answered(err):
		return "Gateway " + endpoint + " answers: " + message + "; trying again"
	case errors.Is(err, io.EOF):
		return "Gateway " + endpoint + " ended the session; trying again"
	default:
		return "Gateway " + endpoint + " cannot be reached (" + message + "); trying again"
	}
}
