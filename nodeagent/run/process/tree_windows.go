package process

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// errUnsupported is the error of every run on Windows. A program would need a job object to end
// with all its processes, and another way than file descriptor 3 to report its progress.
var errUnsupported = errors.New("capabilities that run programs are not supported on Windows")

// Supported returns the reason why this system cannot run programs.
func Supported() error { return errUnsupported }

func sysProcAttr(*User) *syscall.SysProcAttr { return nil }

func detachedSysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// executeFile leaves the path as it is, because Windows cannot execute an open file.
func executeFile(*exec.Cmd, *os.File) (release func(), err error) { return func() {}, nil }

type tree struct {
	root int
	mark string
}

func (t *tree) wait(cmd *exec.Cmd) error { return cmd.Wait() }

func (t *tree) terminate() {}

func (t *tree) kill() error { return errUnsupported }

// KillMarked does nothing, because no program was started.
func KillMarked(string) error { return nil }
