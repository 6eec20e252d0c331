// Package ownfile reads files that decide what the agent does: only such that nobody
// but the agent's user and root could have written.
package ownfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrLoose says that somebody else could have written a file.
var ErrLoose = errors.New("not safe to use")

func errLink(path string) error {
	return fmt.Errorf("%w: %s is a symbolic link; put the file itself there", ErrLoose, path)
}

// maxBytes bounds a file.
const maxBytes = 64 << 10

// Read reads a regular file after it checked it and its directory. It does not follow a
// symbolic link, and it errs with ErrLoose and the command that repairs it.
func Read(path string) ([]byte, error) {
	if err := CheckDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	file, err := openSelf(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrLoose, path)
	}
	if err := check(path, info); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(content) > maxBytes {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxBytes)
	}
	return content, nil
}

// CheckDir wants a directory in which nobody else can put files.
func CheckDir(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", path)
	}
	return check(path, info)
}

// CheckProgram wants a program that nobody else can replace.
func CheckProgram(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("program %s does not exist", path)
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%s is not a program: no file that may be executed", path)
	}
	return check(path, info)
}

// check wants our own user or root as the owner, and nobody else who may write.
func check(path string, info fs.FileInfo) error {
	if loose := info.Mode().Perm() & 0o022; loose != 0 && modesCount {
		return fmt.Errorf("%w: others can write %s (mode %04o); run: chmod go-w %s", ErrLoose, path, info.Mode().Perm(), path)
	}
	if owner, self, ok := owners(info); ok && owner != self && owner != 0 {
		return fmt.Errorf("%w: %s belongs to user id %d, neither the agent's (%d) nor root", ErrLoose, path, owner, self)
	}
	return nil
}
