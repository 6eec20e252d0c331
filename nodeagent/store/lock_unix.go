//go:build unix

package store

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// modesCount: the mode of a file says who can reach it.
const modesCount = true

// makePrivate makes a directory that is this user's alone.
func makePrivate(dir string) error { return os.Mkdir(dir, 0o700) }

// syncFolder makes names in a folder durable.
func syncFolder(dir *os.File) error { return dir.Sync() }

// lockExclusive takes the file's lock or errs at once. The kernel drops it when
// the process ends, however that happens.
func lockExclusive(file *os.File) error {
	return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

// unlock frees the file's lock at once. To close the file is not enough: a child of this
// process has it too from its fork until it executes its program.
func unlock(file *os.File) error { return unix.Flock(int(file.Fd()), unix.LOCK_UN) }

// owners are the user ids of the file and of this process.
func owners(info fs.FileInfo) (owner, self int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(stat.Uid), os.Geteuid(), true
}
