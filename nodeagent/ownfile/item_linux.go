package ownfile

import (
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// item is one step of a walk. Its open descriptor (O_PATH) pins the file, so a later change of the
// name cannot replace it.
type item struct {
	path string
	info fs.FileInfo
	file *os.File
}

func openRoot() (*item, error) { return openItem(unix.AT_FDCWD, "/", "/") }

func openItem(at int, name, path string) (*item, error) {
	fd, err := unix.Openat(at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	file := os.NewFile(uintptr(fd), path)
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &item{path: path, info: info, file: file}, nil
}

func (i *item) fd() int { return int(i.file.Fd()) }

func (i *item) lookup(name string) (*item, error) {
	return openItem(i.fd(), name, filepath.Join(i.path, name))
}

func (i *item) openFile(name string) (*os.File, error) {
	path := filepath.Join(i.path, name)
	fd, err := unix.Openat(i.fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func (i *item) readLink() (string, error) {
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(i.fd(), "", target)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: i.path, Err: err}
	}
	return string(target[:n]), nil
}

// readOnly reports whether the item is on a file system that is mounted read-only here.
func (i *item) readOnly() bool {
	var system unix.Statfs_t
	return unix.Fstatfs(i.fd(), &system) == nil && system.Flags&unix.ST_RDONLY != 0
}

func (i *item) close() { i.file.Close() }

// File returns the checked descriptor, which process executes instead of the name. It returns nil
// for a script, which its interpreter opens by its name.
func (p *Program) File() *os.File {
	if p.script {
		return nil
	}
	return p.pathEnd.file
}
