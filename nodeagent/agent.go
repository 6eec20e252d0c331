// Package nodeagent is the agent as a library: it pairs the machine once, keeps a session with a
// gateway, and runs the dispatches that the gateway offers.
//
//	store      the identity directory          enroll     pairing
//	journal    runs and results, on disk       session    the connection to a gateway
//	capability the machine's capabilities      executor   running a dispatch once
//	program    the user's own capabilities     process    foreign programs
//	desktop    opening things on a screen      mediation  asking the person at the machine
//	status     the agent's own status          local      the sockets of the machine
//	config     the agent's settings            service    the system's service manager
//	doctor     diagnosis of the machine        farewell   revoking the identity
//	debuglog   debug lines about dispatches
//
// The package knows the wire protocol; it knows nothing of Kubernetes.
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
	"github.com/mooring-dev/mooring/nodeagent/console"
	"github.com/mooring-dev/mooring/nodeagent/hostinfo"
	"github.com/mooring-dev/mooring/nodeagent/identity/credentials"
	"github.com/mooring-dev/mooring/nodeagent/identity/enroll"
	"github.com/mooring-dev/mooring/nodeagent/identity/renew"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/local/status"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/executor"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
	"github.com/mooring-dev/mooring/nodeagent/run/process"
	"github.com/mooring-dev/mooring/nodeagent/run/program"
	"github.com/mooring-dev/mooring/nodeagent/session"
	"github.com/mooring-dev/mooring/nodeagent/transport"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

const (
	// maxConcurrency is the number of capabilities that run at once. It equals the highest
	// spec.maxInFlight that a Node allows, so no accepted dispatch waits for a slot while its time
	// runs.
	maxConcurrency = 64
	// stopGrace is the time that a capability may take to return after its context ends.
	stopGrace = 2 * time.Second
	// defaultRenewPause is the default of Options.RenewPause.
	defaultRenewPause = 10 * time.Second
	// stopTimeout bounds the shutdown of an agent that has no session.
	stopTimeout = 5 * time.Second
)

// Options are the options of Run and Pair.
type Options struct {
	// Dir is the identity directory.
	Dir string
	// Pairing is host:port of the pairing listener, and Code is the pairing code. Invitation, the
	// content of a QR code, replaces both. All three may be empty on a paired machine.
	Pairing    string
	Code       *pairing.Code
	Invitation *pairing.Invitation
	// ServiceAccount pairs an agent that runs in a pod. It is used with Pairing and replaces the
	// code.
	ServiceAccount *enroll.ServiceAccount
	// Dialer opens the connections to gateways. Its default Log is Log.
	Dialer link.Dialer
	// NodeName is the requested name of the Node, a DNS label.
	NodeName string
	// RotateKeyEvery is the age of the key at which a renewal also makes a new key; 0 means never.
	RotateKeyEvery time.Duration
	// RenewPause is renew.Options.MinPause; 0 is 10 s.
	RenewPause time.Duration
	// Now returns the machine's time; the default is time.Now.
	Now func() time.Time
	// Transport selects the transport of the sessions; empty means auto.
	Transport transport.Kind
	// StreamProbe is session.Options.StreamProbe; 0 is 10 minutes.
	StreamProbe time.Duration
	// CapabilitiesDir is the folder of the user's own capabilities; empty means the folder
	// capabilities.d of Dir.
	CapabilitiesDir string
	// MediationPolicy is the path of the policy file; empty means mediation.yaml in Dir.
	MediationPolicy string
	// Desktop selects whether the desktop capabilities are declared. DesktopOn declares them even
	// where no program can open anything.
	Desktop DesktopMode
	// Terminal is the terminal where a person is asked; nil means none. Run closes it.
	Terminal io.ReadWriteCloser
	// Extra are capabilities in addition to the built-in ones.
	Extra []capability.Capability
	// Out receives the lines for people.
	Out io.Writer
	Log *slog.Logger
}

// Run pairs the machine if it is not paired, serves until ctx ends, and then returns nil. Its
// errors wrap those of packages enroll and store.
func Run(ctx context.Context, o Options) error {
	return withAgent(ctx, o, func(a *agent) error {
		stop, err := a.serveStatus(ctx)
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

// Pair pairs the machine as Run does, and returns when the identity is stored; it does not serve.
func Pair(ctx context.Context, o Options) error {
	return withAgent(ctx, o, func(a *agent) error { return a.pair(ctx) })
}

// withAgent opens the identity directory, prepares an agent that owns it, and calls do with that
// agent.
func withAgent(ctx context.Context, o Options, do func(*agent) error) error {
	dir, err := store.Open(o.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	a := newAgent(ctx, o, dir)
	if err := a.loadCapabilities(); err != nil {
		return err
	}
	return do(a)
}

func newAgent(ctx context.Context, o Options, dir *store.Store) *agent {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dialer.Log == nil {
		o.Dialer.Log = o.Log
	}
	return &agent{Options: o, store: dir, console: console.New(o.Out), system: hostinfo.SystemInfo(ctx)}
}

type agent struct {
	Options
	store    *store.Store
	console  *console.Console
	system   *gatewayv1.SystemInfo
	registry *capability.Registry
	programs *program.Folder
	tracker  *status.Tracker

	// credentials and journal are set once the machine is paired; system.identity reads both.
	credentials *credentials.Credentials
	journal     *journal.Journal
}

// pair leaves an identity in the store or returns an error.
func (a *agent) pair(ctx context.Context) error {
	switch current, err := a.store.Identity(); {
	case err == nil:
		if a.Code != nil || a.Invitation != nil {
			a.console.Print("Already paired as node %s/%s; the pairing code is not used", current.ID.Namespace, current.ID.Node)
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
		Store: a.store, Endpoint: a.Pairing, Code: a.Code, Invitation: a.Invitation, ServiceAccount: a.ServiceAccount, Dialer: a.Dialer, NodeName: a.NodeName,
		System: a.system, Capabilities: names,
		Console: a.console, Log: a.Log, Now: a.Now, Rand: rand.Reader, NewBackoff: newReconnectBackoff, Observe: a.observePairing(),
	})
}

// observePairing returns the function that shows the pairing in the agent's status; it is nil for
// Pair, which serves no status.
func (a *agent) observePairing() func(request, message string) {
	if a.tracker == nil {
		return nil
	}
	return a.tracker.PairingUpdated
}

// serve opens the journal and runs sessions until ctx ends.
func (a *agent) serve(ctx context.Context) (err error) {
	if a.credentials, err = credentials.Load(a.store); err != nil {
		return err
	}
	a.tracker.MachinePaired(a.credentials.Endpoint())
	a.journal, err = journal.Open(journal.Options{Path: a.store.JournalPath(), NewID: rand.Text, Now: a.Now, Log: a.Log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.journal.Close()) }()
	if err := process.KillMarked(a.journal.RunPrefix()); err != nil {
		a.Log.Warn("processes that an earlier agent left behind", "error", err)
	}
	clock := session.NewClock(a.Now, session.SinceBoot)
	queue, stopBackground, err := a.startBackground(ctx, clock)
	if err != nil {
		return err
	}
	defer stopBackground()
	exec, err := executor.New(executor.Options{
		Journal: a.journal, Registry: a.registry, Policy: queue,
		Now: clock.Now, Concurrency: maxConcurrency, Grace: stopGrace, Log: a.Log,
	})
	if err != nil {
		return fmt.Errorf("recover journal: %w", err)
	}
	defer func() {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		exec.Stop(stopCtx)
	}()
	return session.New(session.Options{
		Credentials: a.credentials, Dialer: a.Dialer, Renewer: a.newRenewer(), Journal: a.journal, Executor: exec, Registry: a.registry,
		System: a.system, BootID: hostinfo.BootID(ctx), Clock: clock, Now: a.Now,
		Jitter: mathrand.Float64, Console: a.console, Log: a.Log, Retry: newReconnectBackoff(),
		Transport: cmp.Or(a.Transport, transport.Auto), StreamProbe: cmp.Or(a.StreamProbe, transport.DefaultStreamProbe),
		Observer: a.tracker,
	}).Run(ctx)
}

// newRenewer returns the Renewer of the credentials.
func (a *agent) newRenewer() *renew.Renewer {
	return renew.New(renew.Options{
		Credentials: a.credentials, Dialer: a.Dialer, Now: a.Now, Rand: rand.Reader, Jitter: mathrand.Float64,
		MinPause: cmp.Or(a.RenewPause, defaultRenewPause), RotateKeyEvery: a.RotateKeyEvery, Log: a.Log,
	})
}

// MaxReconnectDelay is the longest wait of a machine between two attempts to connect.
const MaxReconnectDelay = 5 * time.Minute

// newReconnectBackoff returns the backoff of connection attempts: it starts at 1 s and has full
// jitter.
func newReconnectBackoff() *backoff.Backoff { return backoff.New(time.Second, MaxReconnectDelay) }
