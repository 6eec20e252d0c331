// Package nodeagent is the agent as a library: it pairs the machine once, keeps a session with a
// gateway, and runs the dispatches that the gateway offers. This package only joins the parts of the
// agent, each in a folder of its own:
//
//	identity   the identity directory, pairing, the credentials in use and their renewal
//	transport  connections to gateways, and sessions over streams or polls
//	session    the protocol of a session, one session after the other
//	run        the journal, capabilities and their execution, the consent of the person
//	local      the sockets of the machine, the agent's status, diagnosis of the machine
//	cli        commands, with their settings in config and the service manager in service
//
// The agent knows the wire protocol; it knows nothing of Kubernetes.
package nodeagent

import (
	"context"
	"errors"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/console"
	"github.com/mooring-dev/mooring/nodeagent/hostinfo"
	"github.com/mooring-dev/mooring/nodeagent/identity/credentials"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/local/status"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
	"github.com/mooring-dev/mooring/nodeagent/run/program"
	"github.com/mooring-dev/mooring/nodeagent/session/gatewaytime"
)

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
	o.setDefaults()
	a := &agent{Options: o, store: dir, console: console.New(o.Out), system: hostinfo.SystemInfo(ctx)}
	if err := a.loadCapabilities(); err != nil {
		return err
	}
	return do(a)
}

type agent struct {
	Options
	store    *store.Store
	console  *console.Console
	system   *gatewayv1.SystemInfo
	registry *capability.Registry
	programs *program.Folder
	tracker  *status.Tracker // nil in Pair

	// credentials and journal are set once the machine is paired; system.identity reads both.
	credentials *credentials.Credentials
	journal     *journal.Journal
}

// serve runs sessions until ctx ends.
func (a *agent) serve(ctx context.Context) (err error) {
	if a.credentials, err = credentials.Load(a.store); err != nil {
		return err
	}
	a.tracker.MachinePaired(a.credentials.Endpoint())
	if a.journal, err = a.openJournal(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.journal.Close()) }()
	clock := gatewaytime.NewClock(a.Now, gatewaytime.SinceBoot)
	queue, stopBackground, err := a.startBackground(ctx, clock.Now)
	if err != nil {
		return err
	}
	defer stopBackground()
	exec, stopRuns, err := a.startExecutor(ctx, clock.Now, queue)
	if err != nil {
		return err
	}
	defer stopRuns()
	return a.newSessions(ctx, clock, exec).Run(ctx)
}
