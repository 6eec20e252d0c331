//go:build unix

package store

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// modesEnforced is true because the mode of a file controls access to it.
const modesEnforced = true

// mkdirPrivate creates a directory that only this user can access.
func mkdirPrivate(dir string) error { return os.Mkdir(dir, 0o700) }

// syncFolder makes names in a folder durable.
func syncFolder(dir *os.File) error { return dir.Sync() }

// lockExclusive takes the file's lock or returns an error at once. The kernel drops the lock when
// the process ends, whatever the cause.
func lockExclusive(file *os.File) error {
	return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

// unlock frees the file's lock at once. Closing the file is not enough: a child of this process
// holds the lock too, from its fork until it executes its program.
func unlock(file *os.File) error { return unix.Flock(int(file.Fd()), unix.LOCK_UN) }

// owners returns the user ids of the file's owner and of this process.
func owners(info fs.FileInfo) (owner, self int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(stat.Uid), os.Geteuid(), true
}
