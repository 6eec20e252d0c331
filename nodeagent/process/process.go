// Package process runs foreign programs for the agent: never through a shell, with a clean
// environment, bounded output, and an end that is the end of all they started.
//
// What a program starts is found by its session, its process group, its parents, and a
// mark in the environment that children inherit. Not found, and so not ended: a process
// that left the session and its parents and cleared its environment, and what another
// daemon (systemd, cron, a container engine) was asked to start. One that changed to
// another user can be ended only by an agent that runs as root.
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
	// polite is how long a program may take to end after it was asked to (SIGTERM). It
	// is shorter than the grace of the executor.
	polite = time.Second
	// drain is how long output is read after the last process ended.
	drain = time.Second
	// maxTail is how much of the end of standard error is kept.
	maxTail = 2 << 10
)

// markVariable marks every process of a run.
const markVariable = "MOORING_RUN"

// Command is a program to run.
type Command struct {
	// Argv is the program, an absolute path, and its arguments as they are.
	Argv []string
	// Program is the open file that is executed in place of the file that Argv names; nil is that file.
	// The caller keeps it open until Run returns. Linux only.
	Program *os.File
	// Env is the whole environment, KEY=VALUE.
	Env []string
	// Dir is the working directory; empty is /.
	Dir string
	// Stdin is written to standard input, then it is closed.
	Stdin []byte
	// User runs it as another user; nil as the agent's.
	User *User
	// Mark names the run, unlike every other one on this machine.
	Mark string
	// MaxOutput is how many bytes of standard output are kept.
	MaxOutput int
	// Progress hears what the program writes to file descriptor 3, one "PERCENT TEXT" a
	// line.
	Progress func(percent int, message string)
}

// User is whom a program runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32
}

// Result is how a program ended.
type Result struct {
	// Output is standard output up to the bound; Overflow says that there was more.
	Output   []byte
	Overflow bool
	// Errors is the end of standard error.
	Errors []byte
}

// ErrSurvivors says that processes of the run could not be ended.
var ErrSurvivors = errors.New("not every process it started could be ended")

// Run runs the program to its end, and then ends whatever else it started. When ctx ends
// first, all of it is told to end (SIGTERM) and a second later killed. The error is nil
// only when the program ended by itself with status 0; *exec.ExitError says how it ended
// otherwise.
func Run(ctx context.Context, c Command) (Result, error) {
	if err := errors.Join(ctx.Err(), Supported()); err != nil {
		return Result{}, err
	}
	p, err := openPipes(c)
	if err != nil {
		return Result{}, err
	}
	defer p.close()
	cmd := command(c)
	p.attach(cmd)
	release, err := execute(cmd, c.Program)
	if err != nil {
		return Result{}, fmt.Errorf("start %s: %w", c.Argv[0], err)
	}
	defer release()
	ended := make(chan error, 1)
	started := make(chan error)
	group := &tree{mark: c.Mark}
	go func() {
		// The kernel ends the program with the thread that started it (see attributes),
		// so that thread is kept until the program has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		group.root = cmd.Process.Pid
		started <- nil
		ended <- group.wait(cmd)
	}()
	if err := <-started; err != nil {
		return Result{}, fmt.Errorf("start %s: %w", c.Argv[0], err)
	}
	p.began(c)
	select {
	case err = <-ended:
	case <-ctx.Done():
		group.terminate()
		err = endBy(group, ended)
	}
	return p.result(), err
}

// endBy waits for the end a moment, then forces it.
func endBy(group *tree, ended <-chan error) error {
	patience := time.NewTimer(polite)
	defer patience.Stop()
	select {
	case err := <-ended:
		return err
	case <-patience.C:
	}
	survivors := group.kill()
	return errors.Join(<-ended, survivors)
}

func command(c Command) *exec.Cmd {
	cmd := &exec.Cmd{Path: c.Argv[0], Args: c.Argv, Dir: c.Dir, Env: c.Env, SysProcAttr: attributes(c.User)}
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	if c.Mark != "" {
		cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], markVariable+"="+c.Mark)
	}
	return cmd
}

// Launch starts a program that may stay, such as the opener of a browser, and waits for its
// end a while. program is Command.Program. One that is still there then is left alone, and reaped when it ends.
func Launch(ctx context.Context, program *os.File, argv, env []string, wait time.Duration) error {
	cmd := &exec.Cmd{Path: argv[0], Args: argv, Dir: "/", Env: env, SysProcAttr: detached()}
	release, err := execute(cmd, program)
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
	// The one goroutine without an owner that waits: it is the program's to end.
	go func() { ended <- cmd.Wait() }()
	patience := time.NewTimer(wait)
	defer patience.Stop()
	select {
	case err := <-ended:
		return err
	case <-patience.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
