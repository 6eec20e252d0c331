package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// OpenReadOnly opens the directory for reading beside an agent that may run with it. It creates and
// locks nothing. It returns fs.ErrNotExist for a missing directory, and ErrInsecure like Open.
func OpenReadOnly(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("locate identity directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open identity directory: %w", err)
	}
	s := &Store{dir: dir, root: root, beforeStep: func(string) error { return nil }}
	if err := s.checkModes(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Erase removes all files that the agent made, the identity first, and closes the store. Files that
// the user made, such as capability files, stay; kept lists them.
func (s *Store) Erase() (kept []string, err error) {
	agentFiles := []string{identityFile, identityFile + previousSuffix, trustFile, trustFile + previousSuffix, configFile, pairingFile, journalFile}
	for _, name := range agentFiles {
		if err := s.remove(name); err != nil {
			return nil, err
		}
	}
	if err := s.root.RemoveAll(runFolder); err != nil {
		return nil, fmt.Errorf("remove %s: %w", runFolder, err)
	}
	// The agent made the folder if it is empty.
	_ = s.root.Remove(CapabilitiesFolder)
	if err := s.remove(lockFile); err != nil {
		return nil, err
	}
	remaining, err := s.list()
	if err != nil {
		return nil, err
	}
	for _, entry := range remaining {
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
