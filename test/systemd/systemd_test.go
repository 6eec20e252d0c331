//go:build systemd

// Package systemd tests the agent's service under a systemd that really booted: as a service of the
// machine and of a user, over a crash and a reboot.
package systemd

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/test/fakegateway"
)

func TestServiceOfTheMachine(t *testing.T) {
	l := boot(t)
	runLifecycle(t, l, "/etc/systemd/system/mooring-agent.service")
}

func TestServiceOfAUser(t *testing.T) {
	l := boot(t)
	if code, out := l.runInside("useradd", "--create-home", "anna"); code != 0 {
		t.Fatal(out)
	}
	l.userPrefix = []string{"runuser", "-u", "anna", "--", "env", "HOME=/home/anna"}
	// No user is logged in, and lingering is disabled.
	l.checkAgent(12, "enable-linger", "install", "--pairing", "127.0.0.1:1", "--code", fakegateway.Code.String())
	if code, out := l.runInside("loginctl", "enable-linger", "anna"); code != 0 {
		t.Fatal(out)
	}
	runLifecycle(t, l, "/home/anna/.config/systemd/user/mooring-agent.service")
}

// runLifecycle runs install, crash, stop, reboot and uninstall.
func runLifecycle(t *testing.T, l *laptop, unit string) {
	t.Helper()
	g := fakegateway.Start(t)
	l.await("the service manager answers", func() bool { code, _ := l.agent("start"); return code == 10 })
	l.checkAgent(0, "Started: process", "install", "--pairing", g.PairingEndpoint, "--code", fakegateway.Code.String(), "--name", "box", "--now")
	l.checkAgent(0, "Already running", "install", "--now")
	l.checkAgent(0, "Connected", "status", "--wait", "1m")
	l.checkAgent(0, "Already running", "start")

	crashed := l.pid(t)
	if code, out := l.runInside("sh", "-c", "kill -9 "+strconv.Itoa(crashed)); code != 0 {
		t.Fatal(out)
	}
	l.await("the agent runs again after a crash", func() bool { return l.pid(t) != 0 && l.pid(t) != crashed })
	l.checkAgent(0, "Connected", "status", "--wait", "1m")

	before := l.pid(t)
	l.checkAgent(0, "Started: process", "restart")
	if now := l.pid(t); now == before {
		t.Errorf("restart left process %d", now)
	}
	l.checkAgent(0, "Stopped", "stop")
	l.checkAgent(0, "Already stopped", "stop")
	l.checkAgent(21, "Stopped", "status")
	l.checkAgent(0, "Started: process", "start")

	l.reboot()
	l.checkAgent(0, "Connected", "status", "--wait", "1m")
	if l.userPrefix == nil { // a user cannot read the journal of the machine
		l.checkAgent(0, "session open", "logs")
	}
	l.checkAgent(0, "connected since", "doctor")

	l.checkAgent(0, "Removed the service", "uninstall", "--purge", "--yes")
	l.checkAgent(0, "No service is installed", "uninstall", "--yes")
	if code, _ := l.runInside("test", "-e", unit); code == 0 {
		t.Errorf("%s is still there", unit)
	}
	l.checkAgent(22, "NotInstalled", "status")
}

// pid returns the process id that the agent reports; 0 when none runs.
func (l *laptop) pid(t *testing.T) int {
	t.Helper()
	_, out := l.agent("status", "-o", "json")
	var o struct {
		Agent struct{ PID int }
	}
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&o); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return o.Agent.PID
}
