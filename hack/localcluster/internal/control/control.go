// Package control connects the commands of localcluster with the supervisor of a cluster: JSON over
// a unix socket in the state directory.
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

// ErrNotRunning reports that no supervisor answers.
var ErrNotRunning = errors.New("the cluster is not running")

// Status is the state of a cluster, as its supervisor reports it.
type Status struct {
	State      string      `json:"state"` // absolute path of the state directory
	Phase      string      `json:"phase"` // starting, running, stopping
	Ready      bool        `json:"ready"` // every component is ready
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
	Name           string    `json:"name"`
	State          string    `json:"state"`
	PID            int       `json:"pid,omitempty"`
	Ready          bool      `json:"ready"`
	NotReadyReason string    `json:"why,omitempty"` // why it is not ready
	Port           int       `json:"port"`
	Started        time.Time `json:"started,omitzero"`
	Restarts       int       `json:"restarts"` // unexpected ends
	LastExit       string    `json:"lastExit,omitempty"`
}

// Step is a completed part of the start of a cluster, with its duration.
type Step struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Component returns a component by name; the zero Component when the name is unknown.
func (s Status) Component(name string) Component {
	for _, component := range s.Components {
		if component.Name == name {
			return component
		}
	}
	return Component{}
}

// withSocket calls use with a path of the socket that is short enough to bind or dial: sun_path has
// 108 bytes, which many temporary directories exceed.
func withSocket[T any](dir string, use func(path string) (T, error)) (T, error) {
	folder, err := os.Open(dir)
	if err != nil {
		var zero T
		return zero, fmt.Errorf("open state directory: %w", err)
	}
	defer func() { _ = folder.Close() }()
	return use(filepath.Join("/proc/self/fd", strconv.Itoa(int(folder.Fd())), socketName))
}

// Listen creates the socket in dir. It replaces a socket that an earlier supervisor left: the
// caller holds the supervisor lock.
func Listen(dir string) (net.Listener, error) {
	_ = os.Remove(filepath.Join(dir, socketName))
	return withSocket(dir, func(path string) (net.Listener, error) {
		listener, err := net.Listen("unix", path)
		if err != nil {
			return nil, fmt.Errorf("make control socket: %w", err)
		}
		// The path names a descriptor that is closed after this function.
		listener.(*net.UnixListener).SetUnlinkOnClose(false)
		return listener, os.Chmod(path, 0o600)
	})
}

// Remove deletes the socket when its supervisor ends.
func Remove(dir string) { _ = os.Remove(filepath.Join(dir, socketName)) }

func dial(ctx context.Context, dir string) (net.Conn, error) {
	return withSocket(dir, func(path string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", path)
	})
}
