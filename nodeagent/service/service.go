// Package service has the agent kept running by the service manager of the system:
// systemd, launchd or the service control manager of Windows. As root (and on Windows) it
// is a service of the machine, otherwise one of the user.
package service

import (
	"context"
	"errors"
	"io"
	"strings"
)

// Name is what service managers call the agent.
const Name = "mooring-agent"

var (
	// ErrNoManager says that this machine has no service manager that is known here, or
	// that it cannot be reached.
	ErrNoManager = errors.New("no service manager")
	// ErrRefused says that the service manager did not do what it was asked to.
	ErrRefused = errors.New("the service manager refused")
)

// Definition is what is kept running.
type Definition struct {
	// Executable is the absolute path of the program, Arguments are its arguments.
	Executable string   `json:"executable"`
	Arguments  []string `json:"arguments"`
	// Files are the absolute paths of files and folders that it needs. Where the service manager
	// knows mounts, it mounts what they are on first.
	Files []string `json:"files,omitempty"`
}

// State is what a service manager says about the service.
type State string

// The states.
const (
	NotInstalled State = "NotInstalled"
	Stopped      State = "Stopped"
	Running      State = "Running"
	// Failed: it ended, and the service manager gave up to start it again.
	Failed State = "Failed"
)

// autoRestart is systemd's word for the pause before the next start.
const autoRestart = "auto-restart"

// Status is the service at one moment.
type Status struct {
	State State `json:"state"`
	// Detail is the manager's own word, such as "auto-restart, exit status 1"; may be empty.
	Detail string `json:"detail,omitempty"`
}

// Ended reports whether the agent ended: the service manager gave up, or starts it again after a pause.
func (s Status) Ended() bool {
	return s.State == Failed || s.State == Stopped || strings.HasPrefix(s.Detail, autoRestart)
}

// Manager keeps the agent running. Its errors wrap ErrNoManager, ErrRefused or
// fs.ErrPermission.
type Manager interface {
	// Describe names it, such as "systemd, for the user anna".
	Describe() string
	// Install registers the service for every start of the machine (or every session of
	// the user), in the place of one that is there. It starts nothing, and what runs goes
	// on as it is.
	Install(Definition) error
	// Uninstall takes the registration back. It stops nothing.
	Uninstall() error
	// Start, Stop and Restart return when it is done; Start and Stop of what is already
	// so do nothing.
	Start() error
	Stop() error
	Restart() error
	Status(context.Context) (Status, error)
	// Logs copies what the service said; follow goes on until ctx ends.
	Logs(ctx context.Context, out io.Writer, follow bool) error
}
