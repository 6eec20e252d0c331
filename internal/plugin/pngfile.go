package plugin

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// pngFile is a file for a picture of a code. It is created before the code, so that no code is
// created whose picture cannot be written. It is as secret as the code: only its owner can read it.
type pngFile struct {
	path string
	file *os.File
}

// newPNGFile creates the file. It rejects a name that exists, unless force is set: then the
// existing file stays until the new one is complete.
func newPNGFile(path string, force bool) (*pngFile, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) && !force {
		return nil, usageErrorf("--png: %s exists already: choose another name, or replace it with --force", path)
	}
	if errors.Is(err, fs.ErrExist) {
		file, err = os.CreateTemp(filepath.Dir(path), ".mooring-*.png") // 0600 as well
	}
	if err != nil {
		return nil, usageErrorf("--png: %w", err)
	}
	return &pngFile{path: path, file: file}, nil
}

// write draws the picture into the file, and moves a temporary file to its final path.
func (p *pngFile) write(draw func(io.Writer) error) error {
	err := errors.Join(draw(p.file), p.file.Close())
	if err == nil && p.file.Name() != p.path {
		err = os.Rename(p.file.Name(), p.path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", p.path, err)
	}
	p.file = nil
	return nil
}

// discard removes a file that was not written completely. A nil pngFile has nothing to remove.
func (p *pngFile) discard() {
	if p != nil && p.file != nil {
		p.file.Close()
		_ = os.Remove(p.file.Name())
	}
}
