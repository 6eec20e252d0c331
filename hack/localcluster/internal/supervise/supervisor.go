package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/components"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/control"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/state"
)

// Options configures a cluster.
type Options struct {
	Dir     state.Dir
	Address string // of the apiserver
	Fsync   bool
	Audit   bool
	Path    func(component string) (string, error) // of its program
	CRDs    string                                 // folder of cert-manager's CRDs
	Timeout time.Duration                          // for everything to be ready
	Log     *slog.Logger
	OnStep  func(control.Step)   // a part of the start is done
	OnNote  func(string)         // something a person should know
	OnReady func(control.Status) // everything is ready
}

// Supervisor owns the processes of one cluster.
type Supervisor struct {
	Options
	config  state.Config
	probes  *components.Probes
	spawner *spawner
	runners map[string]*runner
	started time.Time
	stop    context.CancelCauseFunc

	operations sync.Mutex // guards closing; held while a runner gets a command
	closing    bool

	mu    sync.Mutex // guards the following fields
	phase string
	steps []control.Step
}

// ErrRunning reports that another supervisor owns the state directory.
var ErrRunning = errors.New("a cluster with this state directory is already running")

// errShutdownRequested is the cause of a stop that was requested through the socket.
var errShutdownRequested = errors.New("asked to stop")

// Run starts a cluster, keeps it running until ctx ends or Shutdown is called, and stops it. It
// returns an error only when the cluster did not become ready or an essential part of the
// supervisor failed.
func Run(parent context.Context, options Options) error {
	lock, err := state.TryLock(options.Dir.SupervisorLock())
	if errors.Is(err, state.ErrLocked) {
		return fmt.Errorf("%w (process %d)", ErrRunning, state.Holder(options.Dir.SupervisorLock()))
	}
	if err != nil {
		return err
	}
	defer lock.Release()

	ctx, stop := context.WithCancelCause(parent)
	defer stop(nil)
	s := &Supervisor{Options: options, started: time.Now(), stop: stop, phase: "starting"}
	if err := s.prepare(); err != nil {
		return err
	}
	s.spawner = newSpawner()
	defer s.spawner.close()
	if err := s.makeRunners(); err != nil {
		return err
	}
	defer s.closeRunners()
	return s.serve(ctx)
}

// serve answers commands while the cluster starts, runs and stops.
func (s *Supervisor) serve(ctx context.Context) error {
	listener, err := control.Listen(string(s.Dir))
	if err != nil {
		return err
	}
	defer control.Remove(string(s.Dir))
	// Commands are answered until the end, also while the cluster stops.
	serverCtx, endServer := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() {
		err := control.Serve(serverCtx, listener, s)
		if err != nil {
			s.stop(fmt.Errorf("control socket: %w", err))
		}
		served <- err
	}()

	err = s.bringUp(ctx)
	if err == nil {
		s.setPhase("running")
		s.OnReady(s.Status(ctx))
		<-ctx.Done()
		s.Log.Info("stopping", "cause", context.Cause(ctx).Error())
	} else if ctx.Err() != nil {
		err = fmt.Errorf("stopped before it was ready: %w", context.Cause(ctx))
	}
	s.setPhase("stopping")
	s.stopAll()
	endServer()
	return errors.Join(err, <-served)
}

// prepare takes over the state directory and cleans up after an earlier run.
func (s *Supervisor) prepare() error {
	killed, err := KillOrphans(string(s.Dir))
	if err != nil {
		return err
	}
	if len(killed) > 0 {
		s.OnNote(fmt.Sprintf("ended processes %v that an earlier run had left", killed))
	}
	if s.config, err = s.Dir.LoadConfig(); err != nil {
		return err
	}
	s.config.Address, s.config.Fsync, s.config.Audit = s.Address, s.Fsync, s.Audit
	moved, err := state.AssignPorts(&s.config, state.RandomInt)
	if err != nil {
		return err
	}
	if len(moved) > 0 {
		s.OnNote("other programs took ports meanwhile, so they moved: " + strings.Join(moved, ", ") +
			"; kubeconfigs made earlier have to be made again if the kube-apiserver moved")
	}
	if err := s.Dir.SaveConfig(s.config); err != nil {
		return err
	}
	for _, name := range append(components.Names(), "audit") {
		if err := keepPrevious(s.Dir.Log(name)); err != nil {
			return err
		}
	}
	credentials, err := components.WriteCredentials(s.Dir, s.config, time.Now)
	if err != nil {
		return err
	}
	s.probes, err = components.NewProbes(s.config, credentials)
	return err
}

// keepPrevious renames an existing log, so that one earlier log is kept.
func keepPrevious(path string) error {
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("keep previous log: %w", err)
	}
	return nil
}

func (s *Supervisor) makeRunners() error {
	s.runners = make(map[string]*runner)
	specs := make([]Spec, 0, len(components.Names()))
	for _, name := range components.Names() {
		path, err := s.Path(name)
		if err != nil {
			return err
		}
		specs = append(specs, Spec{
			Name: name, Path: path, Args: components.Args(name, s.Dir, s.config),
			Log: s.Dir.Log(name), State: string(s.Dir), Grace: stopGrace,
		})
	}
	for _, spec := range specs {
		s.runners[spec.Name] = newRunner(spec, s.spawner, s.Log)
	}
	return nil
}

func (s *Supervisor) closeRunners() {
	for _, runner := range s.runners {
		runner.close()
	}
}

// stopAll stops the components in the reverse order of the start, so that no component logs errors
// about one that was stopped before.
func (s *Supervisor) stopAll() {
	s.operations.Lock()
	defer s.operations.Unlock()
	s.closing = true
	names := components.Names()
	slices.Reverse(names)
	for _, name := range names {
		_ = s.runners[name].stop(syscall.SIGTERM)
	}
}
