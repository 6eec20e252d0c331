package machine_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// pseudoTerminal is a pseudo-terminal and the text that was printed on it.
type pseudoTerminal struct {
	*os.File
	mu    sync.Mutex
	shown strings.Builder
}

func (t *pseudoTerminal) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shown.String()
}

// startOnTerminal starts a paired agent in the foreground of a terminal of its own.
func (m *machine) startOnTerminal() (*pseudoTerminal, *exec.Cmd) {
	m.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		m.Fatal(err)
	}
	number := 0
	raw, err := master.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
				number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
			}
		})
	}
	if err != nil {
		m.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		m.Fatal(err)
	}
	defer slave.Close()
	cmd := exec.Command(filepath.Join(system.Root, ".local", "bin", "mooring-agent"), "run", "--identity-dir", filepath.Dir(m.folder))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		m.Fatal(err)
	}
	screen := &pseudoTerminal{File: master}
	var reading sync.WaitGroup
	reading.Go(func() {
		buffer := make([]byte, 4096)
		for {
			n, err := master.Read(buffer)
			screen.mu.Lock()
			screen.shown.Write(buffer[:n])
			screen.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	m.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		master.Close()
		reading.Wait()
	})
	return screen, cmd
}

func TestAnAgentInTheForegroundAsksAtItsTerminal(t *testing.T) {
	m := newMachine(t, map[string]string{"own.asked": mediatedCapability})
	m.process.Stop()
	screen, cmd := m.startOnTerminal()
	yes := m.awaitAsked(m.CreateDispatch(m.node, "own.asked", map[string]string{"text": "\x1b[2Jtwo"}))
	m.Eventually("the question is shown", func() bool { return strings.Contains(screen.text(), "Allow it? [y/N]") })
	if text := screen.text(); strings.Contains(text, "\x1b") || !strings.Contains(text, `\x1b[2Jtwo`) {
		t.Errorf("shown: %q", text)
	}
	if _, err := screen.WriteString("y\n"); err != nil {
		t.Fatal(err)
	}
	if s := m.AwaitEnded(yes).Status; s.Phase != v1alpha1.DispatchSucceeded {
		t.Errorf("ended %+v", s)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.Eventually("the agent stops without input", func() bool { return !isAlive(cmd.Process.Pid) })
}
