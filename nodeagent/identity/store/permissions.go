package store

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/mooring-dev/mooring/nodeagent/ownfile"
)

// foreignFolders belong to other packages, which check the contents.
var foreignFolders = []string{CapabilitiesFolder, runFolder}

// checkModes rejects a directory, or a file in it, that other users can access. It repairs nothing
// by itself: such a user may have read the key already, so a person must see the error.
func (s *Store) checkModes() error {
	info, err := s.root.Stat(".")
	if err != nil {
		return fmt.Errorf("inspect identity directory: %w", err)
	}
	if err := checkOwned(s.dir, info, 0o700); err != nil {
		return err
	}
	// A user who can write a parent folder could replace this directory by another one.
	if err := ownfile.CheckDir(s.dir); err != nil {
		return fmt.Errorf("%w: %w", ErrInsecure, err)
	}
	entries, err := s.list()
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(s.dir, entry.Name())
		info, err := s.root.Lstat(entry.Name())
		if err != nil {
			return fmt.Errorf("inspect identity directory: %w", err)
		}
		if info.IsDir() && slices.Contains(foreignFolders, entry.Name()) {
			continue
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%w: %s is a %s, not a file of the agent; remove it", ErrInsecure, path, fileKind(info.Mode()))
		}
		if err := checkOwned(path, info, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// checkOwned returns an error if the mode has rights beyond want or another user owns the file.
func checkOwned(path string, info fs.FileInfo, want fs.FileMode) error {
	if extra := info.Mode().Perm() &^ want; extra&0o077 != 0 && modesEnforced {
		return fmt.Errorf("%w: %s has mode %04o, so other users can reach it; check that no other user has read it, then run: chmod %04o %s",
			ErrInsecure, path, info.Mode().Perm(), want, path)
	}
	if owner, self, ok := owners(info); ok && owner != self {
		return fmt.Errorf("%w: %s belongs to user id %d, the agent runs as %d; run the agent as its owner, or: chown %d %s",
			ErrInsecure, path, owner, self, self, path)
	}
	return nil
}

func fileKind(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "symbolic link"
	case mode.IsDir():
		return "directory"
	default:
		return "special file"
	}
}
