package nodeagent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/desktop"
	"github.com/mooring-dev/mooring/nodeagent/run/executor"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
	"github.com/mooring-dev/mooring/nodeagent/run/mediation"
	"github.com/mooring-dev/mooring/nodeagent/run/process"
	"github.com/mooring-dev/mooring/nodeagent/run/program"
)

const (
	// maxConcurrency is the number of capabilities that run at once. It equals the highest
	// spec.maxInFlight that a Node allows, so no accepted dispatch waits for a slot while its time
	// runs.
	maxConcurrency = 64
	// stopGrace is the time that a capability may take to return after its context ends.
	stopGrace = 2 * time.Second
	// stopTimeout bounds the shutdown of an agent that has no session.
	stopTimeout = 5 * time.Second
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

// loadRules reads the mediation policy.
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

// openJournal opens the journal and ends the processes that an earlier agent left behind.
func (a *agent) openJournal() (*journal.Journal, error) {
	opened, err := journal.Open(journal.Options{Path: a.store.JournalPath(), NewID: rand.Text, Now: a.Now, Log: a.Log})
	if err != nil {
		return nil, err
	}
	if err := process.KillMarked(opened.RunPrefix()); err != nil {
		a.Log.Warn("processes that an earlier agent left behind", "error", err)
	}
	return opened, nil
}

// startExecutor recovers the runs of the journal and returns their Executor. now returns the time of
// the gateways. stop ends all runs.
func (a *agent) startExecutor(ctx context.Context, now func() time.Time, queue *mediation.ApprovalQueue) (exec *executor.Executor, stop func(), err error) {
	exec, err = executor.New(executor.Options{
		Journal: a.journal, Registry: a.registry, Policy: queue,
		Now: now, Concurrency: maxConcurrency, Grace: stopGrace, Log: a.Log,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("recover journal: %w", err)
	}
	return exec, func() {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		exec.Stop(stopCtx)
	}, nil
}
