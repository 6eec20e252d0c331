// Package ownfile opens files that control the agent. A file is the agent's own when only root and
// the agent's user can write or replace it. The check covers every folder from the root to the
// file, and the folders of every link.
package ownfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrUnsafe means that another user could have written or replaced a file.
var ErrUnsafe = errors.New("not safe to use")

// maxBytes bounds the size of a file.
const maxBytes = 64 << 10

// Read returns the content of a regular file. It follows links. An unsafe file is ErrUnsafe, with
// the command that repairs it. Read uses the descriptor that it checked.
func Read(path string) ([]byte, error) {
	end, err := walk(path)
	if err != nil {
		return nil, err
	}
	defer end.close()
	if !end.info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrUnsafe, path)
	}
	file, err := end.open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(content) > maxBytes {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxBytes)
	}
	return content, nil
}

// CheckDir returns an error unless path is a folder in which only root and the agent's user can put
// files.
func CheckDir(path string) error {
	end, err := walk(path)
	if err != nil {
		return err
	}
	defer end.close()
	if !end.info.IsDir() {
		return fmt.Errorf("%s is not a directory", path)
	}
	return end.checkNotWritable()
}

// CheckDirOnly is CheckDir without the folders above. It is for a folder whose location another
// check has approved.
func CheckDirOnly(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", path)
	}
	if writableByOthers(info) {
		return errWritable(path, info)
	}
	return checkOwner(path, info)
}

// CheckProgram returns an error unless path is a program that only root and the agent's user can
// replace. It checks the interpreter of a script too.
func CheckProgram(path string) error {
	program, err := OpenProgram(path)
	if err != nil {
		return err
	}
	program.Close()
	return nil
}

// Program is a checked program.
type Program struct {
	pathEnd *pathEnd
	script  bool
}

// OpenProgram checks a program like CheckProgram and keeps it open. The caller closes it.
func OpenProgram(path string) (*Program, error) { return openProgram(path, maxInterpreters) }

// maxInterpreters bounds the chain of scripts that interpret scripts (Linux: BINPRM_MAX_RECURSION).
const maxInterpreters = 4

func openProgram(path string, interpreters int) (_ *Program, err error) {
	end, err := walk(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("program %s does not exist", path)
	}
	if err != nil {
		return nil, err
	}
	p := &Program{pathEnd: end}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	if !end.info.Mode().IsRegular() || !isExecutable(end.info) {
		return nil, fmt.Errorf("%s is not a program: the file is not executable", path)
	}
	interpreter, script := end.readInterpreter()
	if p.script = script; !script {
		return p, nil
	}
	switch {
	case interpreters == 0:
		return nil, fmt.Errorf("%s: too many interpreters that are scripts themselves", path)
	case !filepath.IsAbs(interpreter):
		return nil, fmt.Errorf("%w: %s names its interpreter %q without an absolute path", ErrUnsafe, path, interpreter)
	}
	next, err := openProgram(interpreter, interpreters-1)
	if err != nil {
		return nil, fmt.Errorf("interpreter of %s: %w", path, err)
	}
	next.Close()
	return p, nil
}

// Close releases the program.
func (p *Program) Close() { p.pathEnd.close() }

func errWritable(path string, info fs.FileInfo) error {
	return fmt.Errorf("%w: others can write %s (mode %04o); run: chmod go-w %s", ErrUnsafe, path, info.Mode().Perm(), path)
}
