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
	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/nodeagent/desktop"
	"github.com/mooring-dev/mooring/nodeagent/mediation"
	"github.com/mooring-dev/mooring/nodeagent/program"
	"github.com/mooring-dev/mooring/nodeagent/session"
	"github.com/mooring-dev/mooring/nodeagent/status"
	"github.com/mooring-dev/mooring/nodeagent/store"
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

// prepare registers the capabilities of this machine: the built-in ones, Options.Extra, and the
// user's own.
func (a *agent) prepare() (err error) {
	if _, err := a.rules(); err != nil {
		return err
	}
	all := []capability.Capability{capability.Echo{}, capability.SystemHealth{}, capability.SystemIdentity{Facts: a.facts}}
	opener := desktop.FindOpener()
	if a.Desktop == DesktopOn || (a.Desktop != DesktopOff && opener.Missing() == "") {
		all = append(all, desktop.Capabilities(opener, a.rules)...)
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
	a.programs.Read()
	return nil
}

func (a *agent) rules() (*mediation.Rules, error) {
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

// tell serves the agent's status on its socket; stop ends that and waits for its end.
func (a *agent) tell(ctx context.Context) (stop func(), err error) {
	a.board = status.NewBoard(a.Now, status.Report{Version: version.Version, PID: os.Getpid()}, a.registry)
	server, err := status.Listen(store.RunPath(a.store.Dir()), a.board, a.Log)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, a.board.Stopping)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var owned sync.WaitGroup
	owned.Go(func() { server.Serve(ctx) })
	return func() { cancel(); owned.Wait() }, nil
}

// beside starts the services for the machine's user that run in parallel to the sessions: the watch
// of the capability files, and the approval queue with its socket and terminal. stop ends them and
// waits for their end.
func (a *agent) beside(ctx context.Context, clock *session.Clock) (desk *mediation.Desk, stop func(), err error) {
	desk = &mediation.Desk{Rules: a.rules, User: ownName(), Now: clock.Now, Log: a.Log}
	server, err := mediation.Listen(store.RunPath(a.store.Dir()), desk, a.Log)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var owned sync.WaitGroup
	owned.Go(func() { a.programs.Watch(ctx) })
	owned.Go(func() { server.Serve(ctx) })
	if a.Terminal != nil {
		owned.Go(func() {
			closing := context.AfterFunc(ctx, func() { a.Terminal.Close() })
			defer closing()
			desk.Prompt(ctx, a.Terminal, a.Terminal, desk.User)
		})
	}
	return desk, func() { cancel(); owned.Wait() }, nil
}

// ownName returns the name of the agent's user, or the numeric UID when the image has no list of
// users.
func ownName() string {
	if current, err := user.Current(); err == nil {
		return current.Username
	}
	return strconv.Itoa(os.Getuid())
}
