//go:build unix

package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// openTerminal returns the terminal that this process has in the foreground; nil when there is
// none.
func (f *flags) openTerminal() io.ReadWriteCloser {
	if f.prompt == "never" {
		return nil
	}
	// A new, non-blocking descriptor is needed: a read from it ends when the descriptor is closed.
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil // no terminal, as in a service
	}
	if !isForeground(terminal) {
		terminal.Close()
		return nil
	}
	return terminal
}

// isForeground reports whether this process is in the foreground of the terminal. It does not use
// Fd, which would make every later read block.
func isForeground(terminal *os.File) bool {
	raw, err := terminal.SyscallConn()
	if err != nil {
		return false
	}
	group := 0
	controlled := raw.Control(func(fd uintptr) { group, err = unix.IoctlGetInt(int(fd), unix.TIOCGPGRP) })
	return controlled == nil && err == nil && group == unix.Getpgrp()
}
