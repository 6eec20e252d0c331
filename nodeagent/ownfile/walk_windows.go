package ownfile

import (
	"fmt"
	"io/fs"
	"os"
)

// pathEnd is a file or folder. The folder's owner controls write access with access lists, which
// this package does not read.
type pathEnd struct {
	path string
	info fs.FileInfo
}

// walk rejects a symbolic link at the end of the path.
func walk(path string) (*pathEnd, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return nil, fmt.Errorf("%w: %s is a symbolic link; put the file itself there", ErrUnsafe, path)
	}
	return &pathEnd{path: path, info: info}, nil
}

func (e *pathEnd) open() (*os.File, error) { return os.Open(e.path) }

func (e *pathEnd) close() {}

func (e *pathEnd) checkNotWritable() error { return nil }

func (e *pathEnd) readInterpreter() (path string, script bool) { return "", false }

func isExecutable(fs.FileInfo) bool { return true }

func writableByOthers(fs.FileInfo) bool { return false }

func checkOwner(string, fs.FileInfo) error { return nil }

// File returns nil: programs are executed by their names here.
func (p *Program) File() *os.File { return nil }
