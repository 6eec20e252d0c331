package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/build"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/control"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/state"
)

const (
	statusPoll = 50 * time.Millisecond
	// stopTimeout is longer than the sum of all components' graces.
	stopTimeout = 90 * time.Second
)

// background starts a supervisor in its own session, unless one runs, and waits until it reports
// that everything is ready.
func (u *up) background(parent context.Context) error {
	ctx, cancel := context.WithTimeoutCause(parent, u.timeout+10*time.Second, errors.New("timed out"))
	defer cancel()
	lock, err := state.WaitLock(ctx, u.dir.UpLock())
	if err != nil {
		return err
	}
	defer lock.Release()

	client := control.NewClient(string(u.dir))
	status, err := client.Status(ctx)
	if err == nil {
		return u.useRunning(ctx, client, status)
	}
	if probe, err := state.TryLock(u.dir.SupervisorLock()); err != nil {
		return u.handleSilentSupervisor(ctx, client, err)
	} else {
		probe.Release()
	}
	child, err := u.spawn()
	if err != nil {
		return err
	}
	return u.await(ctx, client, child)
}

// useRunning handles `up` for a cluster that already runs, or is just starting.
func (u *up) useRunning(ctx context.Context, client *control.Client, status control.Status) error {
	if err := u.checkSameOptions(status); err != nil {
		return err
	}
	if status.Phase == "running" {
		if !status.Ready {
			printNote(u.command.ErrOrStderr(), "the cluster runs, but not every component is ready: see localcluster status")
		}
		u.printReady(status, "already running")
		return nil
	}
	return u.await(ctx, client, nil)
}

// handleSilentSupervisor handles a supervisor that holds the lock and does not answer: it is just starting,
// just ending, or stuck.
func (u *up) handleSilentSupervisor(ctx context.Context, client *control.Client, err error) error {
	if !errors.Is(err, state.ErrLocked) {
		return err
	}
	if status, err := awaitStatus(ctx, client, 5*time.Second); err == nil {
		return u.useRunning(ctx, client, status)
	}
	return fmt.Errorf("process %d owns %s and does not answer: end it with localcluster down and try again",
		state.Holder(u.dir.SupervisorLock()), u.dir)
}

func awaitStatus(parent context.Context, client *control.Client, patience time.Duration) (control.Status, error) {
	ctx, cancel := context.WithTimeout(parent, patience)
	defer cancel()
	for {
		status, err := client.Status(ctx)
		if err == nil || ctx.Err() != nil {
			return status, err
		}
		sleep(ctx, statusPoll)
	}
}

// spawn starts this program again, detached from the terminal and from this process.
func (u *up) spawn() (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	path := u.dir.Log("supervisor")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open supervisor log: %w", err)
	}
	defer func() { _ = log.Close() }()
	child := exec.Command(self, "up", "--supervisor", "--root="+u.builder.Root, "--state="+string(u.dir),
		fmt.Sprintf("--fsync=%t", u.fsync), fmt.Sprintf("--audit=%t", u.audit),
		"--advertise-address="+u.address, "--timeout="+u.timeout.String())
	child.Dir = string(u.dir)                                                    // the caller's may be deleted meanwhile
	child.Env = append(os.Environ(), build.AssetsVariable+"="+u.programs.Assets) // absolute
	child.Stdout, child.Stderr = log, log
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		return nil, fmt.Errorf("start supervisor: %w", err)
	}
	return child, nil
}

// await prints the steps when they are done, until everything is ready. child is nil when another
// process started the supervisor.
func (u *up) await(ctx context.Context, client *control.Client, child *exec.Cmd) error {
	var ended chan error
	if child != nil {
		ended = make(chan error, 1)
		go func() { ended <- child.Wait() }()
	}
	for {
		status, err := client.Status(ctx)
		if err == nil {
			u.printSteps(status)
			if status.Phase == "running" {
				u.printReady(status, "stop it with localcluster down")
				return nil
			}
		} else if child == nil && ctx.Err() == nil {
			return fmt.Errorf("the cluster ended while it was starting: see %s", u.dir.Log("supervisor"))
		}
		select {
		case <-ended:
			return fmt.Errorf("the cluster did not come up:\n%s", u.supervisorLog())
		case <-ctx.Done():
			if child != nil {
				_ = child.Process.Signal(syscall.SIGTERM)
				<-ended
			}
			return fmt.Errorf("the cluster did not come up: %w", context.Cause(ctx))
		case <-time.After(statusPoll):
		}
	}
}

func (u *up) supervisorLog() string {
	data, err := os.ReadFile(u.dir.Log("supervisor"))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(data))
}

func sleep(ctx context.Context, duration time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(duration):
	}
}
