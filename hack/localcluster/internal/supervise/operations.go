package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/components"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/control"
)

var errStopping = errors.New("the cluster is stopping")

// probeTimeout bounds the time for which Status waits for a component that hangs.
const probeTimeout = 2 * time.Second

// Status implements control.Supervisor.
func (s *Supervisor) Status(ctx context.Context) control.Status {
	s.mu.Lock()
	status := control.Status{
		State: string(s.Dir), Phase: s.phase, PID: os.Getpid(),
		Server: s.config.Server(), Kubeconfig: s.Dir.AdminKubeconfig(),
		Fsync: s.Fsync, Address: s.Address, Started: s.started,
		Steps: append([]control.Step(nil), s.steps...),
	}
	s.mu.Unlock()
	if s.Audit {
		status.Audit = s.Dir.AuditLog()
	}
	status.Components = s.probeAll(ctx)
	status.Ready = status.Phase == "running"
	for _, component := range status.Components {
		status.Ready = status.Ready && component.Ready
	}
	return status
}

func (s *Supervisor) probeAll(ctx context.Context) []control.Component {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	names := components.Names()
	found := make([]control.Component, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() { found[i] = s.probe(ctx, name) })
	}
	group.Wait()
	return found
}

func (s *Supervisor) probe(ctx context.Context, name string) control.Component {
	now := s.runners[name].snapshot()
	component := control.Component{
		Name: name, State: now.describe(), PID: now.pid, Port: components.Port(name, s.config.Ports),
		Restarts: now.restarts, LastExit: now.lastExit,
	}
	if now.pid == 0 {
		component.NotReadyReason = component.State
		return component
	}
	component.Started = now.started
	if err := s.probes.Ready(ctx, name); err != nil {
		component.NotReadyReason = err.Error()
	} else {
		component.Ready = true
	}
	return component
}

// Start implements control.Supervisor.
func (s *Supervisor) Start(ctx context.Context, name string) error {
	if err := s.sendCommand(name, (*runner).start); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, fmt.Errorf("not ready after %s", s.Timeout))
	defer cancel()
	s.Log.Info("component started", "component", name)
	return s.awaitReady(ctx, name)
}

// Stop implements control.Supervisor.
func (s *Supervisor) Stop(_ context.Context, name string, kill bool) error {
	signal := syscall.SIGTERM
	if kill {
		signal = syscall.SIGKILL
	}
	err := s.sendCommand(name, func(r *runner) error { return r.stop(signal) })
	if err == nil {
		s.Log.Info("component stopped", "component", name, "signal", signal.String())
	}
	return err
}

// Shutdown implements control.Supervisor.
func (s *Supervisor) Shutdown() { s.stop(errShutdownRequested) }

// sendCommand passes a command to a runner, unless the cluster is stopping.
func (s *Supervisor) sendCommand(name string, do func(*runner) error) error {
	runner, ok := s.runners[name]
	if !ok {
		return fmt.Errorf("unknown component %q: it is one of %s", name, strings.Join(components.Names(), ", "))
	}
	s.operations.Lock()
	defer s.operations.Unlock()
	if s.closing {
		return errStopping
	}
	return do(runner)
}

func (s *Supervisor) setPhase(phase string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = phase
}
