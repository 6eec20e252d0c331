// Package nodeagent is the agent as a library: it pairs the machine once, then
// keeps a session with a gateway and runs what people ask for.
//
//	store      the identity directory          enroll     pairing
//	journal    what ran, durably               session    the connection
//	capability what the machine can do         executor   running it once
//	program    the user's own capabilities     process    foreign programs
//	desktop    what opens things on a screen   mediation  asking the person at it
//	status     what it tells about itself      local      the sockets of the machine
//	config     its settings                    service    the system's service manager
//	doctor     what is wrong with the machine  farewell   giving the identity up
//
// It knows the wire, not Kubernetes.
package nodeagent

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/nodeagent/backoff"
	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/nodeagent/console"
	"github.com/mooring-dev/mooring/nodeagent/enroll"
	"github.com/mooring-dev/mooring/nodeagent/executor"
	"github.com/mooring-dev/mooring/nodeagent/hostinfo"
	"github.com/mooring-dev/mooring/nodeagent/journal"
	"github.com/mooring-dev/mooring/nodeagent/process"
	"github.com/mooring-dev/mooring/nodeagent/program"
	"github.com/mooring-dev/mooring/nodeagent/session"
	"github.com/mooring-dev/mooring/nodeagent/status"
	"github.com/mooring-dev/mooring/nodeagent/store"
)

const (
	// concurrency is how many capabilities run at once: the most that spec.maxInFlight of a
	// Node allows, so that nothing that was accepted waits for a place while its time runs.
	concurrency = 64
	// grace is how long a capability may take to return when told to stop.
	grace = 2 * time.Second
	// renewPause is the usual Options.RenewPause.
	renewPause = 10 * time.Second
	// stopTimeout bounds the end of an agent that has no session.
	stopTimeout = 5 * time.Second
)

// Options are what the agent is started with.
type Options struct {
	// Dir is the identity directory.
	Dir string
	// Pairing is host:port of the pairing listener, Code the pairing code; or
	// Invitation, the content of a QR code, instead of both. All may be empty once
	// the machine is paired.
	Pairing    string
	Code       *pairing.Code
	Invitation *pairing.Invitation
	// Account is for an agent that runs in a pod: with Pairing, instead of a code.
	Account *enroll.Account
	// NodeName is the wished name, a DNS label.
	NodeName string
	// RotateKeyEvery is the age at which a renewal also gets a new key; 0 is never.
	RotateKeyEvery time.Duration
	// RenewPause is session.Options.RenewPause; 0 is 10 s.
	RenewPause time.Duration
	// Now is the machine's time; the default is the real one.
	Now func() time.Time
	// Transport carries the sessions; empty is auto.
	Transport session.Transport
	// StreamProbe is session.Options.StreamProbe; 0 is 10 minutes.
	StreamProbe time.Duration
	// CapabilitiesDir holds the user's own capabilities; empty is the folder
	// capabilities.d of Dir.
	CapabilitiesDir string
	// MediationPolicy is the policy file; empty is mediation.yaml in Dir.
	MediationPolicy string
	// Desktop declares what opens things on a screen, though nothing may be able to.
	Desktop DesktopMode
	// Terminal is where a person is asked; nil when there is none. Run closes it.
	Terminal io.ReadWriteCloser
	// Extra are capabilities besides the built-in ones.
	Extra []capability.Capability
	// Out takes the lines for people.
	Out io.Writer
	Log *slog.Logger
}

// Run pairs the machine if need be, then serves until ctx ends, and returns nil
// then. Its errors wrap those of packages enroll and store.
func Run(ctx context.Context, o Options) error {
	return prepared(ctx, o, func(a *agent) error {
		stop, err := a.tell(ctx)
		if err != nil {
			return err
		}
		defer stop()
		if err := a.pair(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		return a.serve(ctx)
	})
}

// Pair is Run up to the moment when the machine has its identity; it does not serve.
func Pair(ctx context.Context, o Options) error {
	return prepared(ctx, o, func(a *agent) error { return a.pair(ctx) })
}

// prepared gives do an agent that owns its identity directory.
func prepared(ctx context.Context, o Options, do func(*agent) error) error {
	dir, err := store.Open(o.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	a := newAgent(ctx, o, dir)
	if err := a.prepare(); err != nil {
		return err
	}
	return do(a)
}

func newAgent(ctx context.Context, o Options, dir *store.Store) *agent {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &agent{Options: o, store: dir, console: console.New(o.Out), system: hostinfo.System(ctx)}
}

type agent struct {
	Options
	store    *store.Store
	console  *console.Console
	system   *gatewayv1.SystemInfo
	registry *capability.Registry
	programs *program.Folder
	board    *status.Board

	// Known once the machine is paired; system.identity tells them.
	credentials *session.Credentials
	journal     *journal.Journal
}

// pair leaves an identity in the store, or errs.
func (a *agent) pair(ctx context.Context) error {
	switch current, err := a.store.Identity(); {
	case err == nil:
		if a.Code != nil || a.Invitation != nil {
			a.console.Say("Already paired as node %s/%s; the pairing code is not used", current.ID.Namespace, current.ID.Node)
		}
		return a.store.DropPending()
	case !errors.Is(err, store.ErrNotPaired):
		return err
	}
	var names []string
	all, _ := a.registry.All()
	for _, c := range all {
		names = append(names, c.Name())
	}
	return enroll.Run(ctx, enroll.Options{
		Store: a.store, Endpoint: a.Pairing, Code: a.Code, Invitation: a.Invitation, Account: a.Account, NodeName: a.NodeName,
		System: a.system, Capabilities: names,
		Console: a.console, Log: a.Log, Now: a.Now, Rand: rand.Reader, Retry: retry, Observe: a.observePairing(),
	})
}

// observePairing shows the pairing in the status of the agent; Pair has none.
func (a *agent) observePairing() func(request, message string) {
	if a.board == nil {
		return nil
	}
	return a.board.Pairing
}

// serve runs sessions until ctx ends.
func (a *agent) serve(ctx context.Context) (err error) {
	if a.credentials, err = session.LoadCredentials(a.store); err != nil {
		return err
	}
	a.board.Paired(a.credentials.Endpoint())
	a.journal, err = journal.Open(journal.Options{Path: a.store.JournalPath(), NewID: rand.Text, Now: a.Now, Log: a.Log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.journal.Close()) }()
	if err := process.KillMarked(a.journal.RunPrefix()); err != nil {
		a.Log.Warn("processes that an earlier agent left behind", "error", err)
	}
	clock := session.NewClock(a.Now, session.SinceBoot)
	desk, stopBeside, err := a.beside(ctx, clock)
	if err != nil {
		return err
	}
	defer stopBeside()
	runs, err := executor.New(executor.Options{
		Journal: a.journal, Registry: a.registry, Policy: desk,
		Now: clock.Now, Concurrency: concurrency, Grace: grace, Log: a.Log,
	})
	if err != nil {
		return fmt.Errorf("recover journal: %w", err)
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		runs.Stop(stopping)
	}()
	return session.New(session.Options{
		Credentials: a.credentials, Journal: a.journal, Executor: runs, Registry: a.registry,
		System: a.system, BootID: hostinfo.BootID(ctx), Clock: clock, Now: a.Now, Rand: rand.Reader,
		Jitter: mathrand.Float64, Console: a.console, Log: a.Log, Retry: retry(), RenewPause: cmp.Or(a.RenewPause, renewPause),
		RotateKeyEvery: a.RotateKeyEvery, Transport: cmp.Or(a.Transport, session.TransportAuto), StreamProbe: cmp.Or(a.StreamProbe, session.DefaultStreamProbe),
		Observer: a.board,
	}).Run(ctx)
}

// LongestPause is how long a machine may wait between two attempts to connect.
const LongestPause = 5 * time.Minute

// retry spaces out connection attempts: from 1 s, full jitter.
func retry() *backoff.Backoff { return backoff.New(time.Second, LongestPause) }
