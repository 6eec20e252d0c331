//go:build unix && !linux

package ownfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// item is one step of a walk, identified by its name: these systems have no O_PATH. Between the
// check of a step and the next one, only users who can write the folder could replace it.
type item struct {
	path string
	info fs.FileInfo
}

func openRoot() (*item, error) { return openItem("/") }

func openItem(path string) (*item, error) {
	info, err := os.Lstat(path)
	return &item{path: path, info: info}, err
}

func (i *item) lookup(name string) (*item, error) { return openItem(filepath.Join(i.path, name)) }

func (i *item) openFile(name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(i.path, name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

func (i *item) readLink() (string, error) { return os.Readlink(i.path) }

func (i *item) readOnly() bool { return false }

func (i *item) close() {}

// File returns nil: programs are executed by their names here.
func (p *Program) File() *os.File { return nil }
