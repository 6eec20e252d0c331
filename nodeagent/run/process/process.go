// Package process runs foreign programs for the agent: never through a shell, with a clean
// environment and bounded output. The end of a run ends all processes that the program started.
//
// The package finds these processes by their session, their process group, their parents, and a
// mark in the environment that children inherit. It does not find, and so does not end, a process
// that left the session and its parents and cleared its environment. The same holds for a process
// that another daemon (systemd, cron, a container engine) started on request. Only an agent that
// runs as root can end a process that changed to another user.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"
)

const (
	// terminationGrace is the time a program has to end after SIGTERM. It is shorter than the grace
	// of the executor.
	terminationGrace = time.Second
	// drainTimeout is the time for reading output after the last process ended.
	drainTimeout = time.Second
	// maxErrorBytes bounds the kept end of standard error, in bytes.
	maxErrorBytes = 2 << 10
)

// markVariable marks every process of a run.
const markVariable = "MOORING_RUN"

// Command is a program to run.
type Command struct {
	// Argv is the program, an absolute path, and its arguments as they are.
	Argv []string
	// Program is the open file that runs instead of the file at Argv[0]; nil runs the file at
	// Argv[0]. The caller keeps Program open until Run returns. Linux only.
	Program *os.File
	// Env is the whole environment, KEY=VALUE.
	Env []string
	// Dir is the working directory; empty is /.
	Dir string
	// Stdin is written to standard input, which is then closed.
	Stdin []byte
	// User is the user of the program; nil means the agent's own user.
	User *User
	// Mark identifies the run; it is unique on this machine.
	Mark string
	// MaxOutput bounds the kept standard output, in bytes.
	MaxOutput int
	// Progress is called for every line "PERCENT TEXT" that the program writes to file descriptor 3.
	Progress func(percent int, message string)
}

// User is the user that a program runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32
}

// Result is the output of a program that ended.
type Result struct {
	// Output is standard output up to MaxOutput; Overflow is true when there was more.
	Output   []byte
	Overflow bool
	// Errors is the end of standard error.
	Errors []byte
}

// ErrSurvivors means that processes of the run could not be ended.
var ErrSurvivors = errors.New("not every process it started could be ended")

// Run runs the program to its end, and then ends all processes that it started. When ctx ends
// first, Run sends SIGTERM to all of them and kills them a second later. The error is nil only when
// the program ended by itself with status 0; *exec.ExitError describes any other end.
func Run(ctx context.Context, c Command) (Result, error) {
	if err := errors.Join(ctx.Err(), Supported()); err != nil {
		return Result{}, err
	}
	p, err := openPipes(c)
	if err != nil {
		return Result{}, err
	}
	defer p.close()
	cmd := newCmd(c)
	p.attach(cmd)
	release, err := executeFile(cmd, c.Program)
	if err != nil {
		return Result{}, fmt.Errorf("start %s: %w", c.Argv[0], err)
	}
	defer release()
	ended := make(chan error, 1)
	started := make(chan error)
	programTree := &tree{mark: c.Mark}
	go func() {
		// The kernel ends the program with the thread that started it (see sysProcAttr), so this
		// goroutine keeps the thread until the program has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		programTree.root = cmd.Process.Pid
		started <- nil
		ended <- programTree.wait(cmd)
	}()
	if err := <-started; err != nil {
		return Result{}, fmt.Errorf("start %s: %w", c.Argv[0], err)
	}
	p.startIO(c)
	select {
	case err = <-ended:
	case <-ctx.Done():
		programTree.terminate()
		err = killAfterGrace(programTree, ended)
	}
	return p.collectResult(), err
}

// killAfterGrace waits up to terminationGrace for the end of the program and then kills it.
func killAfterGrace(programTree *tree, ended <-chan error) error {
	timer := time.NewTimer(terminationGrace)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
	}
	survivors := programTree.kill()
	return errors.Join(<-ended, survivors)
}

func newCmd(c Command) *exec.Cmd {
	cmd := &exec.Cmd{Path: c.Argv[0], Args: c.Argv, Dir: c.Dir, Env: c.Env, SysProcAttr: sysProcAttr(c.User)}
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	if c.Mark != "" {
		cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], markVariable+"="+c.Mark)
	}
	return cmd
}

// Launch starts a program that may stay, such as the opener of a browser, and waits for its end, at
// most for the duration wait. The argument program is Command.Program. A program that still runs
// then is left alone, and reaped when it ends.
func Launch(ctx context.Context, program *os.File, argv, env []string, wait time.Duration) error {
	cmd := &exec.Cmd{Path: argv[0], Args: argv, Dir: "/", Env: env, SysProcAttr: detachedSysProcAttr()}
	release, err := executeFile(cmd, program)
	if err != nil {
		return fmt.Errorf("start %s: %w", argv[0], err)
	}
	defer release()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = null, null, null
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", argv[0], err)
	}
	ended := make(chan error, 1)
	// This is the only goroutine without an owner that waits for it: the program decides when it
	// ends.
	go func() { ended <- cmd.Wait() }()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
