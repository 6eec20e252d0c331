package nodeagent

import (
	"context"
	"os"
	"os/user"
	"strconv"
	"sync"
	"time"

	"github.com/mooring-dev/mooring/internal/version"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/local/status"
	"github.com/mooring-dev/mooring/nodeagent/run/mediation"
)

// serveStatus serves the agent's status on its socket; stop ends that and waits for its end.
func (a *agent) serveStatus(ctx context.Context) (stop func(), err error) {
	a.tracker = status.NewTracker(a.Now, status.Report{Version: version.Version, PID: os.Getpid()}, a.registry)
	server, err := status.Listen(store.RunPath(a.store.Dir()), a.tracker, a.Log)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, a.tracker.AgentStopping)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { server.Serve(ctx) })
	return func() { cancel(); wg.Wait() }, nil
}

// startBackground starts the services for the machine's user that run in parallel to the sessions:
// the watch of the capability files, and the approval queue with its socket and terminal. now returns
// the time of the gateways. stop ends them and waits for their end.
func (a *agent) startBackground(ctx context.Context, now func() time.Time) (queue *mediation.ApprovalQueue, stop func(), err error) {
	queue = &mediation.ApprovalQueue{Rules: a.loadRules, User: currentUsername(), Now: now, Log: a.Log}
	server, err := mediation.Listen(store.RunPath(a.store.Dir()), queue, a.Log)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { a.programs.Watch(ctx) })
	wg.Go(func() { server.Serve(ctx) })
	if a.Terminal != nil {
		wg.Go(func() {
			stopClosing := context.AfterFunc(ctx, func() { a.Terminal.Close() })
			defer stopClosing()
			queue.Prompt(ctx, a.Terminal, a.Terminal, queue.User)
		})
	}
	return queue, func() { cancel(); wg.Wait() }, nil
}

// currentUsername returns the name of the agent's user, or the numeric UID when the image has no
// list of users.
func currentUsername() string {
	if current, err := user.Current(); err == nil {
		return current.Username
	}
	return strconv.Itoa(os.Getuid())
}
