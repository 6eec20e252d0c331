package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Peek opens the directory to read it beside an agent that may run with it: it makes and
// locks nothing. It errs with fs.ErrNotExist when there is none, with ErrInsecure as Open.
func Peek(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("locate identity directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open identity directory: %w", err)
	}
	s := &Store{dir: dir, root: root, crash: func(string) error { return nil }}
	if err := s.checkModes(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Erase removes everything the agent made, the identity first; the store is closed then.
// What the user made, such as capability files, stays: kept names it.
func (s *Store) Erase() (kept []string, err error) {
	made := []string{identityFile, identityFile + previousSuffix, trustFile, trustFile + previousSuffix, configFile, pairingFile, journalFile}
	for _, name := range made {
		if err := s.remove(name); err != nil {
			return nil, err
		}
	}
	if err := s.root.RemoveAll(runFolder); err != nil {
		return nil, fmt.Errorf("remove %s: %w", runFolder, err)
	}
	// Empty, it was ours.
	_ = s.root.Remove(CapabilitiesFolder)
	if err := s.remove(lockFile); err != nil {
		return nil, err
	}
	left, err := s.list()
	if err != nil {
		return nil, err
	}
	for _, entry := range left {
		kept = append(kept, filepath.Join(s.dir, entry.Name()))
	}
	err = s.Close()
	if len(kept) > 0 {
		return kept, err
	}
	if removeErr := os.Remove(s.dir); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	return nil, err
}
