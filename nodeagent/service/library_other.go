//go:build !linux

package service

import (
	"context"
	"errors"
	"fmt"
	"io"

	library "github.com/kardianos/service"
)

// noPermission matches no exit status here; only systemctl has a status for it.
const noPermission = -1

func unit(bool, []string) string { return "" }

func (m *manager) reachable() error { return nil }

// Status returns the state that the library reports.
func (m *manager) Status(context.Context) (Status, error) {
	s, err := m.on()
	if err != nil {
		return Status{}, fmt.Errorf("%w: %w", ErrNoManager, err)
	}
	switch state, err := s.Status(); {
	case errors.Is(err, library.ErrNotInstalled):
		return Status{State: NotInstalled}, nil
	case err != nil:
		return Status{}, explain("inspect", err)
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

// Elsewhere returns "", because this system does not report a service in the other scope.
func Elsewhere() string { return "" }
