package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/components"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/control"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/kubeapi"
)

const (
	// maxCrashes is the number of crashes without a steady run after which waiting is useless.
	maxCrashes = 4
	// logTail is the number of log lines that an error quotes.
	logTail = 8
)

// certManagerNamespace is the namespace of the Secrets of ClusterIssuers.
const certManagerNamespace = "cert-manager"

// bringUp starts all components in order and returns when all are ready.
func (s *Supervisor) bringUp(parent context.Context) error {
	ctx, cancel := context.WithTimeoutCause(parent, s.Timeout, fmt.Errorf("not ready after %s", s.Timeout))
	defer cancel()
	for _, name := range []string{components.Etcd, components.APIServer} {
		if err := s.step(name+" is ready", func() error { return s.startAndWait(ctx, name) }); err != nil {
			return err
		}
	}
	// The controller manager needs only the apiserver, and its controllers take a while.
	if err := s.sendCommand(components.ControllerManager, (*runner).start); err != nil {
		return err
	}
	if err := s.step("cert-manager's CRDs are served", func() error { return s.installCRDs(ctx) }); err != nil {
		return err
	}
	for _, name := range []string{components.CertManager, components.ControllerManager} {
		if err := s.step(name+" is ready", func() error { return s.startAndWait(ctx, name) }); err != nil {
			return err
		}
	}
	return nil
}

// step measures a part of the start and reports it when it is done.
func (s *Supervisor) step(name string, do func() error) error {
	began := time.Now()
	if err := do(); err != nil {
		return err
	}
	step := control.Step{Name: name, Seconds: time.Since(began).Seconds()}
	s.mu.Lock()
	s.steps = append(s.steps, step)
	s.mu.Unlock()
	s.OnStep(step)
	return nil
}

func (s *Supervisor) installCRDs(ctx context.Context) error {
	crds, err := s.probes.API.ApplyCRDs(ctx, s.CRDs)
	if err != nil {
		return err
	}
	if err := s.probes.API.EnsureNamespace(ctx, certManagerNamespace); err != nil {
		return err
	}
	// Each CRD takes some time until it is served; all CRDs share that time.
	var group sync.WaitGroup
	failures := make([]error, len(crds))
	for i, crd := range crds {
		group.Go(func() { failures[i] = s.probes.API.AwaitCRD(ctx, crd) })
	}
	group.Wait()
	return errors.Join(failures...)
}

// startAndWait starts a component, unless it runs, and waits until it is ready.
func (s *Supervisor) startAndWait(ctx context.Context, name string) error {
	if err := s.sendCommand(name, (*runner).start); err != nil {
		return err
	}
	return s.awaitReady(ctx, name)
}

// awaitReady waits until a component is ready, ctx ends, or the component has crashed too often.
func (s *Supervisor) awaitReady(parent context.Context, name string) error {
	ctx, giveUp := context.WithCancelCause(parent)
	defer giveUp(nil)
	runner := s.runners[name]
	return kubeapi.Await(ctx, name, func(ctx context.Context) error {
		if now := runner.snapshot(); now.crashes >= maxCrashes {
			giveUp(fmt.Errorf("it ended %d times (%s); the end of %s:\n%s",
				now.crashes, now.lastExit, runner.spec.Log, tail(runner.spec.Log, logTail)))
		}
		return s.probes.Ready(ctx, name)
	})
}

// tail returns the last lines of a file, indented for an error message.
func tail(path string, lines int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "  (" + err.Error() + ")"
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	all = all[max(0, len(all)-lines):]
	return "  " + strings.Join(all, "\n  ")
}
