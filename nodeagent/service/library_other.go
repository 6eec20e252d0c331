//go:build !linux

package service

import (
	"context"
	"errors"
	"fmt"
	"io"

	library "github.com/kardianos/service"
)

// noPermission is no exit status here: systemctl alone has one.
const noPermission = -1

func unit(bool, []string) string { return "" }

func (m *manager) reachable() error { return nil }

// Status is the library's.
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

// Logs are in the file of the setting logFile here.
func (m *manager) Logs(context.Context, io.Writer, bool) error {
	return fmt.Errorf("%w: it keeps no log here; set logFile in the configuration", ErrRefused)
}

// Elsewhere tells of a service in the other scope; it is not known here.
func Elsewhere() string { return "" }
