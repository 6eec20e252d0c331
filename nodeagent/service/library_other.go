//go:build !linux

package service

import (
	"context"
	"errors"
	"fmt"
	"io"

	library "github.com/kardianos/service"
)

// exitNoPermission matches no exit status here; only systemctl has a status for it.
const exitNoPermission = -1

func unitFile(bool, []string) string { return "" }

func (m *manager) checkReachable() error { return nil }

// Status returns the state that the library reports.
func (m *manager) Status(context.Context) (Status, error) {
	s, err := m.libraryService()
	if err != nil {
		return Status{}, fmt.Errorf("%w: %w", ErrNoManager, err)
	}
	switch state, err := s.Status(); {
	case errors.Is(err, library.ErrNotInstalled):
		return Status{State: NotInstalled}, nil
	case err != nil:
		return Status{}, wrapLibraryError("inspect", err)
	case state == library.StatusRunning:
		return Status{State: Running}, nil
	default:
		return Status{State: Stopped}, nil
	}
}

// Logs always fails here, because the log is in the file of the setting logFile.
func (m *manager) Logs(context.Context, io.Writer, bool) error {
	return fmt.Errorf("%w: it keeps no log here; set logFile in the configuration", ErrRefused)
}

// OtherScopeHint returns "", because this system does not report a service in the other scope.
func OtherScopeHint() string { return "" }
