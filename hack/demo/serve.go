package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// statePath returns a path in the state folder of "up", which "down" deletes.
func (o options) statePath(elem ...string) string {
	return filepath.Join(append([]string{o.root, ".local", "demo"}, elem...)...)
}

// up starts a background process that owns the system, waits until it is ready and prints how to
// use it. A second up finds the first.
func up(ctx context.Context, o options) error {
	if pid, running := o.running(); running {
		fmt.Printf("already running (pid %d)\n\n", pid)
		return o.printUsage()
	}
	if err := os.RemoveAll(o.statePath()); err != nil {
		return fmt.Errorf("remove stale state: %w", err)
	}
	if err := os.MkdirAll(o.statePath(), 0o700); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	log, err := os.OpenFile(o.statePath("serve.log"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(exe, "serve", "--root", o.root, "--kubeconfig", o.kubeconfig)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the background process: %w", err)
	}
	if err := os.WriteFile(o.statePath("pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		return fmt.Errorf("note the process: %w", err)
	}
	return o.awaitReady(ctx, cmd)
}

func (o options) awaitReady(ctx context.Context, cmd *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	fmt.Printf("starting everything and pairing this machine (the story: %s) …\n", o.statePath("serve.log"))
	for {
		if _, err := os.Stat(o.statePath("usage")); err == nil {
			return o.printUsage()
		}
		select {
		case <-tick.C:
		case err := <-ended:
			log, _ := os.ReadFile(o.statePath("serve.log"))
			return fmt.Errorf("it ended before it was ready: %w\n%s", errors.Join(err), log)
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
			return errors.Join(ctx.Err(), <-ended)
		}
	}
}

func (o options) printUsage() error {
	usage, err := os.ReadFile(o.statePath("usage"))
	if err != nil {
		return fmt.Errorf("it is still starting; try again in a moment: %w", err)
	}
	fmt.Print(string(usage))
	return nil
}

// running reports whether the recorded process is a live demo of this state.
func (o options) running() (int, bool) {
	text, err := os.ReadFile(o.statePath("pid"))
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, false
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return pid, err == nil && strings.Contains(string(cmdline), "serve\x00--root\x00"+o.root)
}

func down(ctx context.Context, o options) error {
	pid, running := o.running()
	if !running {
		fmt.Println("nothing is running")
		return os.RemoveAll(o.statePath())
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop process %d: %w", pid, err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, running := o.running(); !running {
			fmt.Println("stopped")
			return os.RemoveAll(o.statePath())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// serve runs the system until it is stopped, and restarts processes that end before.
func serve(ctx context.Context, o options) error {
	n := &narrator{began: time.Now()}
	s, err := startSystem(ctx, o, o.statePath(), n)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := runChapters(ctx, s, n); err != nil {
		return err
	}
	usage, err := usageText(ctx, s, o)
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.statePath("usage.new"), []byte(usage), 0o600); err != nil {
		return fmt.Errorf("write the usage: %w", err)
	}
	if err := os.Rename(o.statePath("usage.new"), o.statePath("usage")); err != nil {
		return fmt.Errorf("publish the usage: %w", err)
	}
	s.KeepRunning(ctx)
	return nil
}
