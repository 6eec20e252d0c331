//go:build unix

package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// terminal is the one this process has in the foreground; nil when there is none.
func (f *flags) terminal() io.ReadWriteCloser {
	if f.prompt == "never" {
		return nil
	}
	// Opened anew and not blocking: reading from it ends when it is closed.
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil // none, which is what a service has
	}
	if !foreground(terminal) {
		terminal.Close()
		return nil
	}
	return terminal
}

// foreground tells whether this process has the terminal. It does not use Fd, which would
// make reading block for good.
func foreground(terminal *os.File) bool {
	raw, err := terminal.SyscallConn()
	if err != nil {
		return false
	}
	group := 0
	controlled := raw.Control(func(fd uintptr) { group, err = unix.IoctlGetInt(int(fd), unix.TIOCGPGRP) })
	return controlled == nil && err == nil && group == unix.Getpgrp()
}
