// Package service lets the service manager of the system keep the agent running: systemd, launchd
// or the service control manager of Windows. As root (and on Windows) the agent is a service of the
// machine, otherwise a service of the user.
package service

import (
	"context"
	"errors"
	"io"
	"strings"
)

// Name is the agent's name in service managers.
const Name = "mooring-agent"

var (
	// ErrNoManager means that this machine has no service manager that this package supports, or
	// that the manager cannot be reached.
	ErrNoManager = errors.New("no service manager")
	// ErrRefused means that the service manager did not carry out a request.
	ErrRefused = errors.New("the service manager refused")
)

// Definition is the command that the service manager keeps running.
type Definition struct {
	// Executable is the absolute path of the program, Arguments are its arguments.
	Executable string   `json:"executable"`
	Arguments  []string `json:"arguments"`
	// Files are the absolute paths of files and folders that the program needs. A service manager
	// that knows mounts mounts their file systems first.
	Files []string `json:"files,omitempty"`
}

// State is the state of the service, as the service manager reports it.
type State string

// The states.
const (
	NotInstalled State = "NotInstalled"
	Stopped      State = "Stopped"
	Running      State = "Running"
	// Failed means that the agent ended and the service manager no longer restarts it.
	Failed State = "Failed"
)

// subStateAutoRestart is systemd's sub-state for the pause before the next start.
const subStateAutoRestart = "auto-restart"

// Status is the service at one moment.
type Status struct {
	State State `json:"state"`
	// Detail is the manager's own text, such as "auto-restart, exit status 1"; may be empty.
	Detail string `json:"detail,omitempty"`
}

// Ended reports whether the agent ended: the service manager gave up, or will restart it after a
// pause.
func (s Status) Ended() bool {
	return s.State == Failed || s.State == Stopped || strings.HasPrefix(s.Detail, subStateAutoRestart)
}

// Manager keeps the agent running. Its errors wrap ErrNoManager, ErrRefused or
// fs.ErrPermission.
type Manager interface {
	// Describe returns a name for the manager, such as "systemd, for the user anna".
	Describe() string
	// Install registers the service for every start of the machine (or every session of the
	// user). It replaces an existing registration. It starts nothing, and a running service goes
	// on unchanged.
	Install(Definition) error
	// Uninstall removes the registration. It stops nothing.
	Uninstall() error
	// Start, Stop and Restart return when the service has reached the new state. Start of a
	// running service and Stop of a stopped one do nothing.
	Start() error
	Stop() error
	Restart() error
	Status(context.Context) (Status, error)
	// Logs copies the service's output; follow goes on until ctx ends.
	Logs(ctx context.Context, out io.Writer, follow bool) error
}
