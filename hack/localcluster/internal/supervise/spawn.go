// Package supervise starts the components of a cluster, keeps them running, and stops them in
// order, without leaving a process behind.
package supervise

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// stateVariable marks every child with its state directory, so that a child which outlived its
// supervisor can be recognized.
const stateVariable = "LOCALCLUSTER_STATE"

// spawner starts processes from one thread that lives as long as the spawner. PR_SET_PDEATHSIG
// fires when the *thread* that forked ends (prctl(2)), and Go ends and reuses threads at any time.
type spawner struct {
	requests chan spawnRequest
	done     chan struct{}
}

type spawnRequest struct {
	command *exec.Cmd
	result  chan error
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan spawnRequest), done: make(chan struct{})}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		defer close(s.done)
		for request := range s.requests {
			request.result <- request.command.Start()
		}
	}()
	return s
}

// start starts the command so that the kernel kills it when this process ends.
func (s *spawner) start(command *exec.Cmd) error {
	command.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		Setpgid:   true, // Ctrl-C at a terminal must reach only the supervisor, which stops in order
	}
	result := make(chan error, 1)
	s.requests <- spawnRequest{command, result}
	return <-result
}

// close ends the thread; children that still run are killed by the kernel.
func (s *spawner) close() {
	close(s.requests)
	<-s.done
}

// process is one started child.
type process struct {
	pid    int
	handle *os.Process
	exited chan struct{} // closed when the child is reaped
	err    error         // the result of Wait; valid after exited
}

// launch starts the program of spec and reaps it when it ends.
func (s *spawner) launch(spec Spec) (*process, error) {
	log, err := os.OpenFile(spec.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", spec.Name, err)
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	command := exec.Command(spec.Path, spec.Args...)
	command.Env = append(cleanEnvironment(os.Environ()), stateVariable+"="+spec.State)
	command.Stdout, command.Stderr = log, log
	if err := s.start(command); err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	child := &process{pid: command.Process.Pid, handle: command.Process, exited: make(chan struct{})}
	go func() {
		child.err = command.Wait()
		close(child.exited)
	}()
	return child, nil
}

// signal sends a signal to a child; it does nothing for a child that has ended.
func (p *process) signal(signal syscall.Signal) { _ = p.handle.Signal(signal) }
