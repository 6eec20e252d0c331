// Package demo_test runs the demo as a new user does, and interrupts it.
package demo_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/test/eventually"
)

// markVariable is in the environment of every process that a run starts, at any depth.
const markVariable = "MOORING_DEMO_TEST_RUN="

type demoRun struct {
	cmd    *exec.Cmd
	lines  *bufio.Reader
	mark   string
	stdout strings.Builder // standard output; read and written by the test alone
	stderr bytes.Buffer    // standard error; complete after Wait
}

func startDemo(t *testing.T) *demoRun {
	t.Helper()
	root, err := controlplane.Root()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	r := &demoRun{mark: fmt.Sprintf("%s%d-%s", markVariable, os.Getpid(), t.Name())}
	r.cmd = exec.CommandContext(ctx, filepath.Join(root, ".local", "bin", "demo"))
	// The demo must never use the user's kubeconfig: this one would make it fail.
	r.cmd.Env = append(os.Environ(), r.mark, "KUBECONFIG=/nonexistent/somebody-elses-cluster")
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stderr = &r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatalf("%v: build it with make", err)
	}
	r.lines = bufio.NewReader(stdout)
	return r
}

// readUntil reads lines until one contains text; with "" it reads until the end.
func (r *demoRun) readUntil(text string) bool {
	for {
		line, err := r.lines.ReadString('\n')
		r.stdout.WriteString(line)
		if text != "" && strings.Contains(line, text) {
			return true
		}
		if err != nil {
			return text == "" && err == io.EOF
		}
	}
}

// findProcesses returns the live processes of the run.
func (r *demoRun) findProcesses() []string {
	var found []string
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		if env, err := os.ReadFile(path); err == nil && strings.Contains(string(env), r.mark+"\x00") {
			cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			found = append(found, strings.ReplaceAll(string(cmdline), "\x00", " "))
		}
	}
	return found
}

func (r *demoRun) checkNothingLeft(t *testing.T) {
	t.Helper()
	var processes []string
	// A killed process stays in /proc for a moment.
	eventually.Within(20*time.Second).True(t, "no process is left behind", func() bool {
		processes = r.findProcesses()
		return len(processes) == 0
	}, &processes)
}

func TestTheStoryHappens(t *testing.T) {
	r := startDemo(t)
	r.readUntil("")
	if err := r.cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s%s", err, r.stdout.String(), r.stderr.String())
	}
	for _, want := range []string{
		"Verification code: ", "Waiting for approval", "patched", "Online", "hello from a manifest", "uptimeSeconds",
		`may not invoke capability "desktop.open_url"`, "All of it happened",
	} {
		if !strings.Contains(r.stdout.String(), want) {
			t.Errorf("it did not show %q", want)
		}
	}
	r.checkNothingLeft(t)
	lines := strings.Split(strings.TrimSpace(r.stdout.String()), "\n")
	t.Log(lines[len(lines)-1])
}

// Ctrl-C interrupts the demo while it starts, while a machine waits and while capabilities run.
// After kill -9 it has no chance to clean up.
func TestInterruptedAtAnyMomentItLeavesNothingBehind(t *testing.T) {
	for _, when := range []struct {
		name, line string
		signal     syscall.Signal
	}{
		{"while the control plane starts", "Start a control plane", syscall.SIGINT},
		{"while the machine waits", "Waiting for approval", syscall.SIGINT},
		{"while capabilities run", "created", syscall.SIGTERM},
		{"killed", "Waiting for approval", syscall.SIGKILL},
	} {
		t.Run(when.name, func(t *testing.T) {
			r := startDemo(t)
			if !r.readUntil(when.line) {
				t.Fatalf("it ended before %q (%v):\n%s%s", when.line, r.cmd.Wait(), r.stdout.String(), r.stderr.String())
			}
			if err := r.cmd.Process.Signal(when.signal); err != nil {
				t.Fatal(err)
			}
			r.readUntil("")
			if err := r.cmd.Wait(); err == nil {
				t.Error("an interrupted demo exits with 0")
			}
			r.checkNothingLeft(t)
		})
	}
}
