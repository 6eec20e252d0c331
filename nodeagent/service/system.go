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
	of         string
}

// System returns the service manager of this machine, or of this user.
func System() (Manager, error) {
	m := &manager{user: !config.System(), of: "the whole machine"}
	if m.user {
		m.of = "one user"
		if current, err := user.Current(); err == nil {
			m.of = "the user " + current.Username
		}
	}
	if err := m.reachable(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *manager) Describe() string { return library.Platform() + ", for " + m.of }

// on returns the library's view of the service.
func (m *manager) on() (library.Service, error) {
	options := library.KeyValue{
		"UserService": m.user, "SystemdScript": unit(m.user, m.definition.Files),
		"RunAtLoad": true, "KeepAlive": true,
		"OnFailure": "restart", "OnFailureDelayDuration": "5s", "OnFailureResetPeriod": 60,
	}
	return library.New(hosted{}, &library.Config{
		Name: Name, DisplayName: "Mooring agent", Description: "Mooring agent: makes this machine a Node of a cluster",
		Executable: m.definition.Executable, Arguments: m.definition.Arguments, Option: options,
	})
}

func (m *manager) Install(d Definition) error {
	m.definition = d
	if err := m.replaceable(); err != nil {
		return err
	}
	return m.do("install", library.Service.Install)
}

func (m *manager) Uninstall() error { return m.do("uninstall", library.Service.Uninstall) }
func (m *manager) Start() error     { return m.do("start", library.Service.Start) }
func (m *manager) Stop() error      { return m.do("stop", library.Service.Stop) }
func (m *manager) Restart() error   { return m.do("restart", library.Service.Restart) }

// replaceable removes an earlier registration: the library does not replace one.
func (m *manager) replaceable() error {
	found, err := m.Status(context.Background())
	if err != nil || found.State == NotInstalled {
		return err
	}
	return m.Uninstall()
}

func (m *manager) do(what string, do func(library.Service) error) error {
	s, err := m.on()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoManager, err)
	}
	if err := do(s); err != nil {
		return explain(what, err)
	}
	return nil
}

// explain maps the library's errors to those of Manager. Most are exit errors of the manager's program.
func explain(what string, err error) error {
	var exit *exec.ExitError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s the service: %w", what, err)
	case errors.As(err, &exit) && exit.ExitCode() == noPermission:
		return fmt.Errorf("%s the service: %w", what, fs.ErrPermission)
	default:
		return fmt.Errorf("%w to %s the service: %w", ErrRefused, what, err)
	}
}

// run runs a program of the service manager and copies its output to out.
func run(ctx context.Context, out io.Writer, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %s: %w", ErrRefused, argv[0], err)
	}
	return nil
}
