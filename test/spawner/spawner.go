//go:build linux

// Package spawner is a service manager for tests. It starts real processes that outlive the process
// that started them, and uses nothing of the machine's own manager.
package spawner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/mooring-dev/mooring/internal/jsontext"
	"github.com/mooring-dev/mooring/nodeagent/service"
)

// stopTimeout is the time after which Stop gives up.
const stopTimeout = 30 * time.Second

// Manager keeps its registrations in a folder.
type Manager struct{ Dir string }

// Describe returns a name with the folder.
func (m Manager) Describe() string { return "spawner in " + m.Dir }

func (m Manager) path(name string) string { return filepath.Join(m.Dir, name) }

// Install writes the definition. It returns fs.ErrPermission when the folder is not writable.
func (m Manager) Install(d service.Definition) error {
	content, err := jsontext.Marshal(d)
	if err != nil {
		return err
	}
	return os.WriteFile(m.path("definition"), content, 0o600)
}

// Uninstall removes the definition.
func (m Manager) Uninstall() error { return os.Remove(m.path("definition")) }

// Start starts the program in a session of its own, unless it runs.
func (m Manager) Start() error {
	if found, err := m.Status(context.Background()); err != nil || found.State == service.Running {
		return err
	}
	content, err := os.ReadFile(m.path("definition"))
	if err != nil {
		return err
	}
	var d service.Definition
	if err := json.Unmarshal(content, &d); err != nil {
		return err
	}
	log, err := os.OpenFile(m.path("log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(d.Executable, d.Arguments...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	return os.WriteFile(m.path("pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600)
}

// Stop sends SIGTERM to the process and waits for its end.
func (m Manager) Stop() error {
	pid := m.PID()
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	for end := time.Now().Add(stopTimeout); m.PID() != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%w: process %d does not end", service.ErrRefused, pid)
		}
	}
	return nil
}

// Restart stops and starts the process.
func (m Manager) Restart() error { return errors.Join(m.Stop(), m.Start()) }

// PID returns the id of the running process, or 0.
func (m Manager) PID() int {
	text, err := os.ReadFile(m.path("pid"))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(string(text))
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	if fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]); len(fields) == 0 || fields[0][0] == 'Z' {
		return 0
	}
	return pid
}

// Status returns the state of the registration and of the process.
func (m Manager) Status(context.Context) (service.Status, error) {
	switch _, err := os.Stat(m.path("definition")); {
	case errors.Is(err, fs.ErrNotExist):
		return service.Status{State: service.NotInstalled}, nil
	case err != nil:
		return service.Status{}, err
	case m.PID() == 0:
		return service.Status{State: service.Stopped}, nil
	}
	return service.Status{State: service.Running}, nil
}

// Logs copies the program's output. There is none before the first start.
func (m Manager) Logs(_ context.Context, out io.Writer, _ bool) error {
	content, err := os.ReadFile(m.path("log"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err = out.Write(content)
	return err
}
