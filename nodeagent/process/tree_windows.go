package process

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// A program here would need a job object to end with all it started, and another way to
// tell its progress than file descriptor 3.
var errUnsupported = errors.New("capabilities that run programs are not supported on Windows")

// Supported tells why programs cannot be run on this system; nil when they can.
func Supported() error { return errUnsupported }

func attributes(*User) *syscall.SysProcAttr { return nil }

func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// execute leaves the path as it is: no open file can be executed here.
func execute(*exec.Cmd, *os.File) (release func(), err error) { return func() {}, nil }

type tree struct {
	root int
	mark string
}

func (t *tree) wait(cmd *exec.Cmd) error { return cmd.Wait() }

func (t *tree) terminate() {}

func (t *tree) kill() error { return errUnsupported }

// KillMarked does nothing: no program was started.
func KillMarked(string) error { return nil }
