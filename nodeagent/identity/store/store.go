package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// CapabilitiesFolder is the folder of the user's own capabilities, see package program.
const CapabilitiesFolder = "capabilities.d"

// Names of the files, relative to the directory.
const (
	identityFile = "identity.pem"
	trustFile    = "trust.pem"
	configFile   = "config.json"
	pairingFile  = "pairing.json"
	journalFile  = "journal.db"
	lockFile     = "lock"

	mediationFile = "mediation.yaml"
	runFolder     = "run"

	previousSuffix  = ".previous"
	temporaryPrefix = ".new-"
)

var (
	// ErrInsecure means that another user could read or change the directory.
	ErrInsecure = errors.New("identity directory is not safe")
	// ErrInUse means that another agent holds the directory.
	ErrInUse = errors.New("identity directory is in use")
	// ErrDamaged means that a file has unreadable content.
	ErrDamaged = errors.New("identity directory is damaged")
)

// Store is one identity directory, locked for this process. Its methods are not safe for concurrent
// use, except SaveTrust and SaveIdentity against each other.
type Store struct {
	dir  string
	root *os.Root
	lock *os.File
	// beforeStep is called before each step of a write; an error from a test ends the write there.
	beforeStep func(step string) error
}

// Open creates the directory if it is missing and locks it. It returns ErrInsecure, with the
// command that repairs it, when other users can access the directory, and ErrInUse when it is
// locked.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("locate identity directory: %w", err)
	}
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open identity directory: %w", err)
	}
	s := &Store{dir: dir, root: root, beforeStep: func(string) error { return nil }}
	if err := s.lockAndClean(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// lockAndClean checks and locks the directory, then removes the half-written files of a crash.
func (s *Store) lockAndClean() error {
	if err := s.checkModes(); err != nil {
		return err
	}
	lock, err := s.root.OpenFile(lockFile, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open lock of identity directory: %w", err)
	}
	if err := lockExclusive(lock); err != nil {
		lock.Close()
		return fmt.Errorf("%w: another mooring-agent runs with %s; stop it, or choose another directory with --identity-dir", ErrInUse, s.dir)
	}
	s.lock = lock
	return s.removeTemporaryFiles()
}

// Dir returns the absolute path of the directory.
func (s *Store) Dir() string { return s.dir }

// JournalPath returns the path of the file of package journal.
func (s *Store) JournalPath() string { return filepath.Join(s.dir, journalFile) }

// MediationPath returns the path of the machine's policy file, see package mediation.
func (s *Store) MediationPath() string { return filepath.Join(s.dir, mediationFile) }

// RunPath returns the folder for files that exist only while an agent runs, such as sockets.
func RunPath(dir string) string { return filepath.Join(dir, runFolder) }

// Close releases the directory.
func (s *Store) Close() error {
	var errs []error
	if s.lock != nil {
		errs = append(errs, unlock(s.lock), s.lock.Close())
	}
	return errors.Join(append(errs, s.root.Close())...)
}

func makeDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("make identity directory: %w", err)
	}
	if err := mkdirPrivate(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make identity directory: %w", err)
	}
	return nil
}

// removeTemporaryFiles removes the temporary files of writes that never reached their rename.
func (s *Store) removeTemporaryFiles() error {
	entries, err := s.list()
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), temporaryPrefix) {
			continue
		}
		if err := s.root.Remove(entry.Name()); err != nil {
			return fmt.Errorf("remove unfinished file: %w", err)
		}
	}
	return nil
}

func (s *Store) list() ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("list identity directory: %w", err)
	}
	return entries, nil
}
