package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// replace gives the file a new content, atomically and durably. With keep, the previous content
// stays as name.previous.
func (s *Store) replace(name string, content []byte, keep bool) error {
	temporary := temporaryPrefix + rand.Text()
	if err := s.writeNew(temporary, content); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), s.discardTemporary(temporary, err))
	}
	if keep {
		if err := s.keepPrevious(name); err != nil {
			return errors.Join(fmt.Errorf("keep previous %s: %w", name, err), s.discardTemporary(temporary, err))
		}
	}
	if err := s.rename(temporary, name); err != nil {
		return errors.Join(fmt.Errorf("replace %s: %w", name, err), s.discardTemporary(temporary, err))
	}
	if err := s.syncDir(); err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	return nil
}

// writeNew writes a file that did not exist and syncs it.
func (s *Store) writeNew(name string, content []byte) (err error) {
	if err := s.beforeStep("create " + name); err != nil {
		return err
	}
	file, err := s.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := s.beforeStep("write"); err != nil {
		return err
	}
	if _, err := file.Write(content); err != nil {
		return err
	}
	if err := s.beforeStep("sync"); err != nil {
		return err
	}
	return file.Sync()
}

// keepPrevious gives the current file a second name. The file name itself is never absent.
func (s *Store) keepPrevious(name string) error {
	temporary := temporaryPrefix + rand.Text()
	if err := s.beforeStep("link"); err != nil {
		return err
	}
	if err := s.root.Link(name, temporary); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return s.rename(temporary, name+previousSuffix)
}

func (s *Store) rename(from, to string) error {
	if err := s.beforeStep("rename"); err != nil {
		return err
	}
	return s.root.Rename(from, to)
}

// remove deletes a file durably. A missing file is no error.
func (s *Store) remove(name string) error {
	if err := s.beforeStep("remove"); err != nil {
		return err
	}
	if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return s.syncDir()
}

func (s *Store) syncDir() error {
	if err := s.beforeStep("sync directory"); err != nil {
		return err
	}
	dir, err := s.root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	return syncFolder(dir)
}

// errCrash simulates the death of the process in tests: discardTemporary cleans up nothing after
// it.
var errCrash = errors.New("crash")

func (s *Store) discardTemporary(temporary string, cause error) error {
	if errors.Is(cause, errCrash) {
		return nil
	}
	if err := s.root.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// read returns the content of a file. It returns nil without an error for a missing file.
func (s *Store) read(name string) ([]byte, error) {
	content, err := s.root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return content, nil
}
