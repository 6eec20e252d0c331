package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/mooring-dev/mooring/internal/version"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/local/status"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/desktop"
	"github.com/mooring-dev/mooring/nodeagent/run/mediation"
	"github.com/mooring-dev/mooring/nodeagent/run/program"
	"github.com/mooring-dev/mooring/nodeagent/session"
)

// DesktopMode selects whether desktop.open_url and desktop.open_path are declared.
type DesktopMode string

// The desktop modes.
const (
	// DesktopAuto declares both capabilities only where they can run. A server would otherwise be
	// reported as degraded for lack of a display that it will never have.
	DesktopAuto DesktopMode = "auto"
	DesktopOn   DesktopMode = "on"
	DesktopOff  DesktopMode = "off"
)

// loadCapabilities registers the capabilities of this machine: the built-in ones, Options.Extra,
// and the user's own.
func (a *agent) loadCapabilities() (err error) {
	if _, err := a.loadRules(); err != nil {
		return err
	}
	all := []capability.Capability{capability.Echo{}, capability.SystemHealth{}, capability.SystemIdentity{Facts: a.identityFacts}}
	opener := desktop.FindOpener()
	if a.Desktop == DesktopOn || (a.Desktop != DesktopOff && opener.UnavailableReason() == "") {
		all = append(all, desktop.Capabilities(opener, a.loadRules)...)
	}
	if a.registry, err = capability.NewRegistry(append(all, a.Extra...)...); err != nil {
		return err
	}
	dir := a.CapabilitiesDir
	if dir == "" {
		dir = filepath.Join(a.store.Dir(), store.CapabilitiesFolder)
		// The folder must exist from the start, so that it can be watched.
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make the capabilities folder: %w", err)
		}
	}
	a.programs = &program.Folder{Dir: dir, Registry: a.registry, Log: a.Log}
	a.programs.Reload()
	return nil
}

func (a *agent) loadRules() (*mediation.Rules, error) {
	if a.MediationPolicy != "" {
		// A policy file that was named exists, unless its disk is not mounted: the default policy
		// would allow more.
		if _, err := os.Stat(a.MediationPolicy); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("mediation policy: %w", err)
		}
		return mediation.LoadRules(a.MediationPolicy)
	}
	// Only the agent's user can have removed the file, because the identity directory is private.
	if _, err := os.Lstat(a.store.MediationPath()); errors.Is(err, fs.ErrNotExist) {
		return mediation.DefaultRules(), nil
	}
	return mediation.LoadRules(a.store.MediationPath())
}

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
// the watch of the capability files, and the approval queue with its socket and terminal. stop ends
// them and waits for their end.
func (a *agent) startBackground(ctx context.Context, clock *session.Clock) (queue *mediation.ApprovalQueue, stop func(), err error) {
	queue = &mediation.ApprovalQueue{Rules: a.loadRules, User: currentUsername(), Now: clock.Now, Log: a.Log}
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
