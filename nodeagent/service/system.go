package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"os/user"

	library "github.com/kardianos/service"

	"github.com/mooring-dev/mooring/nodeagent/config"
)

// manager is the service manager of this system, accessed through the library.
type manager struct {
	definition Definition
	user       bool
	scope      string
}

// NewManager returns the service manager of this machine, or of this user.
func NewManager() (Manager, error) {
	m := &manager{user: !config.IsSystemWide(), scope: "the whole machine"}
	if m.user {
		m.scope = "one user"
		if current, err := user.Current(); err == nil {
			m.scope = "the user " + current.Username
		}
	}
	if err := m.checkReachable(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *manager) Describe() string { return library.Platform() + ", for " + m.scope }

// libraryService returns the library's view of the service.
func (m *manager) libraryService() (library.Service, error) {
	options := library.KeyValue{
		"UserService": m.user, "SystemdScript": unitFile(m.user, m.definition.Files),
		"RunAtLoad": true, "KeepAlive": true,
		"OnFailure": "restart", "OnFailureDelayDuration": "5s", "OnFailureResetPeriod": 60,
	}
	return library.New(noopService{}, &library.Config{
		Name: Name, DisplayName: "Mooring agent", Description: "Mooring agent: makes this machine a Node of a cluster",
		Executable: m.definition.Executable, Arguments: m.definition.Arguments, Option: options,
	})
}

func (m *manager) Install(d Definition) error {
	m.definition = d
	if err := m.removeExisting(); err != nil {
		return err
	}
	return m.runAction("install", library.Service.Install)
}

func (m *manager) Uninstall() error { return m.runAction("uninstall", library.Service.Uninstall) }
func (m *manager) Start() error     { return m.runAction("start", library.Service.Start) }
func (m *manager) Stop() error      { return m.runAction("stop", library.Service.Stop) }
func (m *manager) Restart() error   { return m.runAction("restart", library.Service.Restart) }

// removeExisting removes an earlier registration: the library does not replace one.
func (m *manager) removeExisting() error {
	found, err := m.Status(context.Background())
	if err != nil || found.State == NotInstalled {
		return err
	}
	return m.Uninstall()
}

func (m *manager) runAction(verb string, action func(library.Service) error) error {
	s, err := m.libraryService()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoManager, err)
	}
	if err := action(s); err != nil {
		return wrapLibraryError(verb, err)
	}
	return nil
}

// wrapLibraryError maps the library's errors to those of Manager. Most are exit errors of the
// manager's program.
func wrapLibraryError(verb string, err error) error {
	var exit *exec.ExitError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s the service: %w", verb, err)
	case errors.As(err, &exit) && exit.ExitCode() == exitNoPermission:
		return fmt.Errorf("%s the service: %w", verb, fs.ErrPermission)
	default:
		return fmt.Errorf("%w to %s the service: %w", ErrRefused, verb, err)
	}
}

// runCommand runs a program of the service manager and copies its output to out.
func runCommand(ctx context.Context, out io.Writer, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %s: %w", ErrRefused, argv[0], err)
	}
	return nil
}
