//go:build linux

package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mooring-dev/mooring/test/eventually"
)

func TestMain(m *testing.M) {
	if os.Getenv(initTestVariable) != "" {
		os.Exit(RunAsInit(runInitTest))
	}
	goleak.VerifyTestMain(m)
}

// shellCommand returns a command that runs a script in a shell. The agent itself never runs a
// shell.
func shellCommand(t *testing.T, script string) Command {
	t.Helper()
	return Command{
		Argv: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin", "DIR=" + t.TempDir()},
		Mark: "test/" + t.Name(), MaxOutput: 1 << 16,
	}
}

func dirOf(c Command) string { return strings.TrimPrefix(c.Env[1], "DIR=") }

// awaitFile waits until a program has written a file completely, and returns its content.
func awaitFile(t *testing.T, path string) string {
	t.Helper()
	var content []byte
	eventually.True(t, path+" is written", func() bool {
		var err error
		content, err = os.ReadFile(path)
		return err == nil && bytes.HasSuffix(content, []byte("\n"))
	})
	return strings.TrimSpace(string(content))
}

// isAlive reports whether a process exists and is no zombie.
func isAlive(pid int) bool {
	p, ok := readStat(pid)
	return ok && !p.dead
}

func TestAProgramGetsItsInputAndNothingElse(t *testing.T) {
	t.Setenv("SECRET", "of the agent")
	c := shellCommand(t, `cat; echo; tr '\0' '\n' </proc/self/environ; pwd; ls /proc/self/fd`)
	c.Stdin = []byte(`{"a":1}`)
	got, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	out := string(got.Output)
	if !strings.HasPrefix(out, `{"a":1}`) || strings.Contains(out, "SECRET") || !strings.Contains(out, "\n/\n") {
		t.Errorf("got %s", out)
	}
	if strings.Contains(out, "\n5\n") {
		t.Errorf("the program has open files of the agent: %s", out)
	}
}

func TestArgumentsAreNotInterpreted(t *testing.T) {
	for _, argument := range []string{"$(id)", "`id`", "; touch /tmp/x", "a\nb", "--flag", "*", "'", `"`, "\\", "", "é\u202e"} {
		got, err := Run(t.Context(), Command{Argv: []string{"/usr/bin/printf", "%s", argument}, MaxOutput: 100})
		if err != nil || string(got.Output) != argument {
			t.Errorf("%q arrives as %q, %v", argument, got.Output, err)
		}
	}
	if _, err := Run(t.Context(), Command{Argv: []string{"/usr/bin/printf", "%s", "a\x00b"}}); err == nil {
		t.Error("a NUL is passed on")
	}
}

func TestEveryWayAProgramEnds(t *testing.T) {
	for script, want := range map[string]string{
		"exit 0":                     "",
		"echo why >&2; exit 3":       "exit status 3",
		"kill -SEGV $$":              "signal: segmentation fault",
		"cat >/dev/null; kill -9 $$": "signal: killed",
	} {
		got, err := Run(t.Context(), shellCommand(t, script))
		if text := fmt.Sprint(err); (want == "") != (err == nil) || (want != "" && text != want) {
			t.Errorf("%s: %v, want %q", script, err, want)
		}
		if strings.Contains(script, "why") && string(got.Errors) != "why\n" {
			t.Errorf("the kept standard error is %q", got.Errors)
		}
	}
	if _, err := Run(t.Context(), Command{Argv: []string{"/does/not/exist"}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing program: %v", err)
	}
}

func TestWhatIsCancelledEndsWithEverythingItStarted(t *testing.T) {
	// The script starts a child, a grandchild that ignores SIGTERM, a process in its own session,
	// and a process that also left its parents.
	c := shellCommand(t, `trap '' TERM
		(trap '' TERM; sleep 1000) &
		setsid sleep 1001 &
		(setsid sh -c 'trap "" TERM HUP; echo $$ >$DIR/away; exec sleep 1002' &)
		sh -c 'echo $$ >$DIR/child; exec sleep 1003' &
		echo $$ >$DIR/root
		sleep 1004`)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var err error
	running.Go(func() { _, err = Run(ctx, c) })
	var pids []int
	for _, name := range []string{"away", "child", "root"} {
		pid, convErr := strconv.Atoi(awaitFile(t, filepath.Join(dirOf(c), name)))
		if convErr != nil || !isAlive(pid) {
			t.Fatalf("%s: %v", name, convErr)
		}
		pids = append(pids, pid)
	}
	begun := time.Now()
	cancel()
	running.Wait()
	t.Logf("ended %s after it was cancelled: %v", time.Since(begun).Round(time.Millisecond), err)
	for i, pid := range pids {
		if isAlive(pid) {
			t.Errorf("process %d is alive", i)
		}
	}
	if survivors := (&tree{root: -1, mark: c.Mark}).members(); len(survivors) != 0 {
		t.Errorf("%d processes are left: %v", len(survivors), survivors)
	}
	if err == nil {
		t.Error("no error")
	}
}

func TestAProgramThatEndsWhenAskedMayTidyUp(t *testing.T) {
	c := shellCommand(t, `trap 'echo tidy; exit 0' TERM; echo >$DIR/up; while :; do sleep 0.01; done`)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		awaitFile(t, filepath.Join(dirOf(c), "up"))
		cancel()
	}()
	got, _ := Run(ctx, c)
	if string(got.Output) != "tidy\n" {
		t.Errorf("the output is %q", got.Output)
	}
}

func TestWhatAProgramLeavesBehindEndsWithIt(t *testing.T) {
	c := shellCommand(t, `(setsid sh -c 'echo $$ >$DIR/left; exec sleep 1000' &); while ! [ -s $DIR/left ]; do :; done; echo done`)
	got, err := Run(t.Context(), c)
	if err != nil || string(got.Output) != "done\n" {
		t.Errorf("%q, %v", got.Output, err)
	}
	if pid, _ := strconv.Atoi(awaitFile(t, filepath.Join(dirOf(c), "left"))); isAlive(pid) {
		t.Error("the process that it left behind is alive")
	}
}

func TestAForkBombIsEnded(t *testing.T) {
	c := shellCommand(t, `f() { while :; do (exec setsid sh -c "sleep 0.2 & sleep 0.2") & sleep 0.02; done; }; f & f & f & echo >$DIR/up; wait`)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		awaitFile(t, filepath.Join(dirOf(c), "up"))
		cancel()
	}()
	if _, err := Run(ctx, c); errors.Is(err, ErrSurvivors) {
		t.Error(err)
	}
	if survivors := (&tree{root: -1, mark: c.Mark}).members(); len(survivors) != 0 {
		t.Errorf("%d processes are left", len(survivors))
	}
}

func TestOutputIsBoundAndReadToItsEnd(t *testing.T) {
	c := shellCommand(t, `yes | head -c 3000000; echo >&2 end`)
	c.MaxOutput = 1000
	got, err := Run(t.Context(), c)
	if err != nil || len(got.Output) != 1000 || !got.Overflow {
		t.Errorf("%d bytes, overflow %t, %v", len(got.Output), got.Overflow, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	c.Argv = []string{"/usr/bin/yes"}
	if got, err := Run(ctx, c); err == nil || len(got.Output) != 1000 || !got.Overflow {
		t.Errorf("forever: %d bytes, overflow %t, %v", len(got.Output), got.Overflow, err)
	}
}

func TestProgressIsReadFromDescriptorThree(t *testing.T) {
	c := shellCommand(t, `echo "10 copying" >&3; echo nonsense >&3; echo 500 >&3; echo "20% `+strings.Repeat("x", 2000)+`" >&3; echo 100 >&3`)
	var progress []string
	c.Progress = func(percent int, message string) {
		progress = append(progress, fmt.Sprintf("%d %.3s", percent, message))
	}
	if _, err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(progress, ","); got != "10 cop,20 xxx,100 " {
		t.Errorf("progress %s", got)
	}
}

func TestALaunchedProgramMayStay(t *testing.T) {
	out := filepath.Join(t.TempDir(), "pid")
	script := "echo $$ >" + out + "; exec sleep 1000"
	if err := Launch(t.Context(), nil, []string{"/bin/sh", "-c", script}, []string{"PATH=/usr/bin:/bin"}, 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(awaitFile(t, out))
	if err != nil || !isAlive(pid) {
		t.Fatalf("the launched program has ended: %v", err)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	exit := (*exec.ExitError)(nil)
	if err := Launch(t.Context(), nil, []string{"/bin/sh", "-c", "exit 4"}, nil, time.Minute); !errors.As(err, &exit) || exit.ExitCode() != 4 {
		t.Errorf("a program that fails: %v", err)
	}
}

func TestWhatAKilledAgentLeftIsEndedAtItsNextStart(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("/bin/sh", "-c", `setsid sh -c 'echo $$ >`+dir+`/left; exec sleep 1000'`)
	cmd.Env = []string{"PATH=/usr/bin:/bin", markVariable + "=journal-1/uid"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(awaitFile(t, filepath.Join(dir, "left")))
	if err := KillMarked("journal-2/"); err != nil || !isAlive(pid) {
		t.Errorf("a process of another journal was ended: %v", err)
	}
	if err := KillMarked("journal-1/"); err != nil || isAlive(pid) {
		t.Errorf("the process is still alive: %v", err)
	}
	_ = cmd.Wait()
}
