//go:build unix

package ownfile

import (
	"io/fs"
	"os"
	"syscall"
)

// owners are the user ids of the file and of this process.
func owners(info fs.FileInfo) (owner, self int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(stat.Uid), os.Geteuid(), true
}
