package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// fleetProcess is one process of a MultiFleet.
type fleetProcess struct {
	cmd             *exec.Cmd
	requestedAgents int // the number of agents that was requested

	mu    sync.Mutex // guards the following fields and orders commands
	stdin io.WriteCloser
	last  Summary

	done chan struct{}
	err  error // valid after done
}

func startFleetProcess(binary string, stderr io.Writer, args ...string) (*fleetProcess, error) {
	m := &fleetProcess{cmd: exec.Command(binary, args...), done: make(chan struct{})}
	// The process has its own group: Ctrl-C on a terminal reaches only the parent, which ends its
	// processes in order. When the parent is killed, standard input ends, which ends the process.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	m.cmd.Stderr = stderr
	var err error
	if m.stdin, err = m.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	go func() {
		defer close(m.done)
		m.readSummaries(stdout)
		m.err = m.cmd.Wait()
	}()
	return m, nil
}

func (m *fleetProcess) readSummaries(stdout io.Reader) {
	decoder := json.NewDecoder(stdout)
	for {
		var s Summary
		if err := decoder.Decode(&s); err != nil {
			_, _ = io.Copy(io.Discard, stdout)
			return
		}
		m.mu.Lock()
		m.last = s
		m.mu.Unlock()
	}
}

func (m *fleetProcess) lastSummary() Summary {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

func (m *fleetProcess) sendCommand(format string, args ...any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := fmt.Fprintf(m.stdin, format+"\n", args...); err != nil {
		return fmt.Errorf("command process %d of the simulator: %w", m.cmd.Process.Pid, err)
	}
	return nil
}

// endErr returns why the process ended; nil while it runs.
func (m *fleetProcess) endErr() error {
	select {
	case <-m.done:
		return fmt.Errorf("process %d of the simulator ended: %w", m.cmd.Process.Pid, errors.Join(m.err, io.EOF))
	default:
		return nil
	}
}

// close ends the process by closing its standard input, and kills it when it takes too long.
func (m *fleetProcess) close() error {
	m.mu.Lock()
	_ = m.stdin.Close()
	m.mu.Unlock()
	select {
	case <-m.done:
		return m.err
	case <-time.After(cleanupTimeout + time.Minute):
		_ = m.cmd.Process.Kill()
		<-m.done
		return fmt.Errorf("process %d of the simulator did not clean up in time and was killed", m.cmd.Process.Pid)
	}
}
