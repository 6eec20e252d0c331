// Package control is how the commands of localcluster talk to the supervisor of a
// cluster: JSON over a unix socket in the state directory.
package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const socketName = "control.sock"

// ErrNotRunning says that no supervisor answers.
var ErrNotRunning = errors.New("the cluster is not running")

// Status is what a supervisor knows of its cluster.
type Status struct {
	State      string      `json:"state"` // absolute path of the state directory
	Phase      string      `json:"phase"` // starting, running, stopping
	Ready      bool        `json:"ready"` // every component is
	PID        int         `json:"pid"`   // of the supervisor
	Server     string      `json:"server"`
	Kubeconfig string      `json:"kubeconfig"` // absolute path, administrator
	Audit      string      `json:"audit,omitempty"`
	Fsync      bool        `json:"fsync"`
	Address    string      `json:"address"`
	Started    time.Time   `json:"started"`
	Components []Component `json:"components"`
	Steps      []Step      `json:"steps"`
}

// Component is one process of the cluster.
type Component struct {
	Name     string    `json:"name"`
	State    string    `json:"state"`
	PID      int       `json:"pid,omitempty"`
	Ready    bool      `json:"ready"`
	Why      string    `json:"why,omitempty"` // it is not ready
	Port     int       `json:"port"`
	Started  time.Time `json:"started,omitzero"`
	Restarts int       `json:"restarts"` // unexpected ends
	LastExit string    `json:"lastExit,omitempty"`
}

// Step is a part of bringing a cluster up that is done, and how long it took.
type Step struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Component finds a component by name; the zero Component when it is unknown.
func (s Status) Component(name string) Component {
	for _, component := range s.Components {
		if component.Name == name {
			return component
		}
	}
	return Component{}
}

// withSocket calls use with a path of the socket that is short enough to bind or
// dial: sun_path holds 108 bytes, less than many a temporary directory.
func withSocket[T any](dir string, use func(path string) (T, error)) (T, error) {
	folder, err := os.Open(dir)
	if err != nil {
		var zero T
		return zero, fmt.Errorf("open state directory: %w", err)
	}
	defer func() { _ = folder.Close() }()
	return use(filepath.Join("/proc/self/fd", strconv.Itoa(int(folder.Fd())), socketName))
}

// Listen makes the socket in dir. A socket left behind is replaced: the caller
// holds the supervisor lock.
func Listen(dir string) (net.Listener, error) {
	_ = os.Remove(filepath.Join(dir, socketName))
	return withSocket(dir, func(path string) (net.Listener, error) {
		listener, err := net.Listen("unix", path)
		if err != nil {
			return nil, fmt.Errorf("make control socket: %w", err)
		}
		// Its path names a descriptor that is closed by now.
		listener.(*net.UnixListener).SetUnlinkOnClose(false)
		return listener, os.Chmod(path, 0o600)
	})
}

// Remove deletes the socket of a supervisor that ends.
func Remove(dir string) { _ = os.Remove(filepath.Join(dir, socketName)) }

func dial(ctx context.Context, dir string) (net.Conn, error) {
	return withSocket(dir, func(path string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", path)
	})
}
