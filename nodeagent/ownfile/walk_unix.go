//go:build unix

package ownfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks bounds the links of one path (path_resolution(7)).
const maxLinks = 40

// pathEnd is the file or folder at the end of a walk, and the folder that holds it.
type pathEnd struct {
	*item
	parent *item
}

// walk follows a path from the root, link by link. It checks each folder before it looks up a name
// in it, each link before it follows the link, and the end.
func walk(path string) (*pathEnd, error) {
	if !filepath.IsAbs(path) {
		dir, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		path = dir + "/" + path
	}
	w := &walker{path: path}
	e, err := w.followPath(strings.Split(path, "/"))
	w.closeAllBut(e)
	return e, err
}

// walker is the state of a walk.
type walker struct {
	path string
	// folders lead from the root to the current folder.
	folders []*item
	links   int
}

func (w *walker) followPath(names []string) (*pathEnd, error) {
	if err := w.enterRoot(); err != nil {
		return nil, err
	}
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			w.leaveFolder()
			continue
		}
		next, err := w.current().lookup(name)
		if err != nil {
			return nil, w.wrapError(filepath.Join(w.current().path, name), err)
		}
		switch err := w.checkItem(next); {
		case err != nil:
			next.close()
			return nil, err
		case next.info.IsDir():
			w.folders = append(w.folders, next)
		case next.info.Mode()&fs.ModeSymlink != 0:
			target, err := w.readLink(next)
			if err != nil {
				return nil, err
			}
			names = append(strings.Split(target, "/"), names...)
		case len(names) > 0:
			next.close()
			return nil, &fs.PathError{Op: "open", Path: w.path, Err: syscall.ENOTDIR}
		default:
			return &pathEnd{item: next, parent: w.current()}, nil
		}
	}
	return &pathEnd{item: w.current()}, nil
}

func (w *walker) current() *item { return w.folders[len(w.folders)-1] }

func (w *walker) enterRoot() error {
	root, err := openRoot()
	if err != nil {
		return err
	}
	w.folders = append(w.folders, root)
	return w.checkItem(root)
}

// leaveFolder goes to the parent folder. The parent of the root is the root.
func (w *walker) leaveFolder() {
	if last := len(w.folders) - 1; last > 0 {
		w.folders[last].close()
		w.folders = w.folders[:last]
	}
}

// readLink returns the target of a link, and goes to the root when the target is absolute.
func (w *walker) readLink(link *item) (string, error) {
	defer link.close()
	if w.links++; w.links > maxLinks {
		return "", &fs.PathError{Op: "open", Path: w.path, Err: syscall.ELOOP}
	}
	target, err := link.readLink()
	if err != nil {
		return "", err
	}
	for filepath.IsAbs(target) && len(w.folders) > 1 {
		w.leaveFolder()
	}
	return target, nil
}

// checkItem returns an error unless root or the agent's user owns the item. Others may write no
// file and only sticky folders (/tmp), in which they can add names but not replace the owner's
// names. The walk may only pass through a sticky folder: the next element must be a folder.
func (w *walker) checkItem(i *item) error {
	if err := checkOwner(i.path, i.info); err != nil {
		return w.wrapError(i.path, err)
	}
	mode := i.info.Mode()
	switch {
	case mode.IsDir():
		if writableByOthers(i.info) && mode&fs.ModeSticky == 0 && !i.readOnly() {
			return w.wrapError(i.path, errWritable(i.path, i.info))
		}
		return nil
	case mode&fs.ModeSymlink == 0 && writableByOthers(i.info):
		return w.wrapError(i.path, errWritable(i.path, i.info))
	}
	return w.wrapError(i.path, w.current().checkNotWritable())
}

// wrapError adds the walked file to an error about a folder or link on the way to it.
func (w *walker) wrapError(path string, err error) error {
	if err == nil || filepath.Clean(path) == filepath.Clean(w.path) {
		return err
	}
	return fmt.Errorf("%w (on the way to %s)", err, w.path)
}

// closeAllBut closes the folders of the walk, except those that e needs.
func (w *walker) closeAllBut(e *pathEnd) {
	for _, folder := range w.folders {
		if e == nil || (folder != e.item && folder != e.parent) {
			folder.close()
		}
	}
}

// checkNotWritable returns an error when others can put files into a folder, sticky or not. A
// read-only mount, such as the mount of a ConfigMap, takes no files whatever its mode is.
func (i *item) checkNotWritable() error {
	switch {
	case !writableByOthers(i.info) || i.readOnly():
		return nil
	case i.info.Mode()&fs.ModeSticky != 0:
		return fmt.Errorf("%w: everyone can put files into %s (mode %04o, sticky); use a folder of its own", ErrUnsafe, i.path, i.info.Mode().Perm())
	}
	return errWritable(i.path, i.info)
}

func (e *pathEnd) close() {
	e.item.close()
	if e.parent != nil {
		e.parent.close()
	}
}

// open opens the file for reading and verifies that it is the checked file.
func (e *pathEnd) open() (*os.File, error) {
	file, err := e.parent.openFile(filepath.Base(e.path))
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !os.SameFile(info, e.info) {
		err = fmt.Errorf("%w: %s was replaced while it was opened", ErrUnsafe, e.path)
	}
	if err == nil && writableByOthers(info) {
		err = errWritable(e.path, info)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// readInterpreter reads the interpreter of a script (execve(2)). A file that the agent cannot read
// is no script: its interpreter could not read it either.
func (e *pathEnd) readInterpreter() (path string, script bool) {
	file, err := e.open()
	if err != nil {
		return "", errors.Is(err, ErrUnsafe)
	}
	defer file.Close()
	head, _ := io.ReadAll(io.LimitReader(file, 256))
	line, script := bytes.CutPrefix(head, []byte("#!"))
	line, _, _ = bytes.Cut(line, []byte("\n"))
	if words := strings.Fields(string(line)); script && len(words) > 0 {
		path = words[0]
	}
	return path, script
}

func isExecutable(info fs.FileInfo) bool { return info.Mode().Perm()&0o111 != 0 }

// writableByOthers reports whether a user who is neither the owner nor root can write a file.
func writableByOthers(info fs.FileInfo) bool {
	loose := info.Mode().Perm() & 0o022
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && loose == 0o020 && int(stat.Uid) == os.Geteuid() {
		return !privateGroup(stat.Uid, stat.Gid)
	}
	return loose != 0
}

// checkOwner returns an error unless the agent's user or root owns the file.
func checkOwner(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if self := os.Geteuid(); ok && int(stat.Uid) != self && stat.Uid != 0 {
		return fmt.Errorf("%w: %s belongs to user id %d, neither the agent's (%d) nor root", ErrUnsafe, path, stat.Uid, self)
	}
	return nil
}
