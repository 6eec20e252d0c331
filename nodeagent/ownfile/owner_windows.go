package ownfile

import (
	"io/fs"
	"os"
)

// modesCount: Go makes the mode of a file up here. Who can write one is said by access
// lists, which the folder's owner sets and nothing here reads.
const modesCount = false

// openSelf opens a file that is not a symbolic link.
func openSelf(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return nil, errLink(path)
	}
	return os.Open(path)
}

func owners(fs.FileInfo) (owner, self int, ok bool) { return 0, 0, false }
