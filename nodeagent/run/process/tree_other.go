//go:build unix && !linux

package process

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// Without /proc a tree is the process group. A process that leaves the group is not ended.

func sysProcAttr(user *User) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if user != nil {
		a.Credential = &syscall.Credential{Uid: user.UID, Gid: user.GID, Groups: user.Groups}
	}
	return a
}

func detachedSysProcAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// executeFile leaves the path as it is, because these systems cannot execute an open file.
func executeFile(*exec.Cmd, *os.File) (release func(), err error) { return func() {}, nil }

type tree struct {
	root int
	mark string
}

func (t *tree) wait(cmd *exec.Cmd) error { return errors.Join(cmd.Wait(), t.kill()) }

func (t *tree) terminate() { _ = syscall.Kill(-t.root, syscall.SIGTERM) }

func (t *tree) kill() error {
	_ = syscall.Kill(-t.root, syscall.SIGKILL)
	return nil
}

// KillMarked does nothing, because these systems cannot find processes by their environment.
func KillMarked(string) error { return nil }
