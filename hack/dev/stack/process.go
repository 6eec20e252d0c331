package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopGrace is the time between SIGTERM and SIGKILL.
const stopGrace = 20 * time.Second

// Process is a real process whose output is kept in a log file.
type Process struct {
	Name    string
	LogPath string
	cmd     *exec.Cmd
	done    chan struct{}
	probes  string // HOST:PORT of /readyz, for processes that serve it

	mu     sync.Mutex
	output bytes.Buffer // both streams
	stdout bytes.Buffer // standard output alone
}

// StartProcess runs argv with its output in logDir. The kernel kills the process when this process
// dies, so that an interrupted run leaves nothing behind.
func StartProcess(name, logDir string, env []string, argv ...string) (*Process, error) {
	path := filepath.Join(logDir, name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", name, err)
	}
	p := &Process{Name: name, LogPath: path, done: make(chan struct{})}
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Env = append(cleanEnv(), env...)
	p.cmd.Stdout = io.MultiWriter(log, p.writerTo(&p.output), p.writerTo(&p.stdout))
	p.cmd.Stderr = io.MultiWriter(log, p.writerTo(&p.output))
	// The process has its own group: Ctrl-C on the terminal reaches only the parent, which stops
	// all processes in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		log.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		defer log.Close()
		_ = p.cmd.Wait() // the result is in ProcessState
	}()
	return p, nil
}

// cleanEnv returns the environment without the variables that could point a process at another
// cluster.
func cleanEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "KUBECONFIG=") && !strings.HasPrefix(kv, "DEMO_KUBECONFIG=") {
			env = append(env, kv)
		}
	}
	return env
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func (p *Process) writerTo(in *bytes.Buffer) io.Writer {
	return writerFunc(func(b []byte) (int, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		return in.Write(b)
	})
}

// Output returns everything that the process has printed so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// Stdout returns the standard output of the process so far, which is its output for people.
func (p *Process) Stdout() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stdout.String()
}

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Running reports whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait waits for the end and returns the exit code; -1 when a signal ended the process.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for %s to end: %w", p.Name, ctx.Err())
	}
}

// Kill ends the process as a crash does.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Signal sends sig, for example to pause and continue the process.
func (p *Process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// Stop sends SIGTERM and kills the process when it does not end within stopGrace.
func (p *Process) Stop() {
	if !p.Running() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopGrace):
		p.Kill()
	}
}

// WaitFor waits until the output contains text. It returns an error as soon as the process ends
// without it.
func (p *Process) WaitFor(ctx context.Context, text string) error {
	return p.WaitUntil(ctx, fmt.Sprintf("print %q", text), func(out string) bool { return strings.Contains(out, text) })
}

// WaitUntil waits until done accepts the output. Its error contains the text of the condition.
func (p *Process) WaitUntil(ctx context.Context, condition string, done func(output string) bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if done(p.Output()) {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			if done(p.Output()) {
				return nil
			}
			return fmt.Errorf("%s ended (%s) before it could %s; its last lines:\n%s", p.Name, p.cmd.ProcessState, condition, tail(p.Output(), 15))
		case <-ctx.Done():
			return fmt.Errorf("%s did not %s: %w; its last lines:\n%s", p.Name, condition, errors.Join(ctx.Err(), context.Cause(ctx)), tail(p.Output(), 15))
		}
	}
}

// Tail returns the last lines of the output.
func (p *Process) Tail(lines int) string { return tail(p.Output(), lines) }

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
