//go:build systemd

package systemd

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/test/fakegateway"
)

const (
	agentUnit = "mooring-agent.service"
	stateDir  = "/var/lib/mooring-agent"
	mountUnit = `var-lib-mooring\x2dagent.mount`
	diskUnit  = "disk.service"
	// attach is a pipe: a line in it attaches the disk, or reports that the disk is missing.
	attach = "/srv/attach"
	// missing is a file that exists from a failure of the disk until the next boot.
	missing = "/run/disk-missing"
)

// diskUnits are the units of a mount of the state folder, and of a disk that appears when a line
// comes through the pipe. Neither is part of local-fs.target, for which the whole boot would wait.
var diskUnits = map[string]string{
	diskUnit: `[Unit]
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'test ! -e ` + missing + ` || exit 1; read -r state <` + attach + `; test "$state" = attached || { touch ` + missing + `; exit 1; }'
`,
	mountUnit: `[Unit]
DefaultDependencies=no
Requires=` + diskUnit + `
After=` + diskUnit + `
Conflicts=umount.target
Before=umount.target

[Mount]
What=/srv/disk
Where=` + stateDir + `
Type=none
Options=bind
`}

// bootWithDisk boots a machine with a paired service. It moves the state folder to a disk that is
// not mounted at the next boot.
func bootWithDisk(t *testing.T) *laptop {
	t.Helper()
	l := boot(t)
	g := fakegateway.Start(t)
	l.checkAgent(0, "Started: process", "install", "--pairing", g.PairingEndpoint, "--code", fakegateway.Code.String(), "--name", "box", "--now")
	l.checkAgent(0, "Connected", "status", "--wait", "1m")
	l.checkAgent(0, "Stopped", "stop")
	l.run("mv", stateDir, "/srv/disk")
	l.run("mkdir", "--mode=0700", stateDir)
	return l
}

// addDisk gives systemd the units of the disk.
func (l *laptop) addDisk() {
	l.t.Helper()
	for name, text := range diskUnits {
		if err := os.WriteFile(filepath.Join(l.root, "etc/systemd/system", name), []byte(text), 0o644); err != nil {
			l.t.Fatal(err)
		}
	}
	l.run("mkfifo", attach)
}

// sendDisk writes the state of the disk into its pipe.
func (l *laptop) sendDisk(state string) {
	l.t.Helper()
	l.run("sh", "-c", "echo "+state+" >"+attach)
}

// run runs a command that must succeed, as root.
func (l *laptop) run(argv ...string) {
	l.t.Helper()
	if code, out := l.runInside(argv...); code != 0 {
		l.t.Fatalf("%s: exit %d:\n%s", strings.Join(argv, " "), code, out)
	}
}

// property returns a property of a unit.
func (l *laptop) property(unit, name string) string {
	l.t.Helper()
	_, out := l.runInside("systemctl", "show", "--value", "--property="+name, unit)
	return strings.TrimSpace(out)
}

// awaitOnlyDiskMissing waits until the boot waits for nothing but the disk.
func (l *laptop) awaitOnlyDiskMissing() {
	l.t.Helper()
	jobs := ""
	l.await("the boot waits for the disk alone", func() bool {
		code, out := l.runInside("systemctl", "list-jobs", "--no-legend", "--plain")
		jobs = out
		running, waiting := 0, false
		for line := range strings.Lines(out) {
			fields := strings.Fields(line)
			if len(fields) < 4 {
				continue
			}
			if fields[3] == "running" {
				running++
			}
			waiting = waiting || fields[1] == agentUnit && fields[3] == "waiting"
		}
		return code == 0 && running == 1 && waiting && strings.Contains(out, diskUnit)
	})
	if pid := l.pid(l.t); pid != 0 {
		l.t.Errorf("agent %d runs without its disk; the jobs of systemd:\n%s", pid, jobs)
	}
}

// awaitConnected waits until the agent has a session, and checks that its state folder is the disk.
func (l *laptop) awaitConnected() {
	l.t.Helper()
	l.await("the agent is connected", func() bool {
		code, out := l.agent("status")
		return code == 0 && strings.Contains(out, "Connected")
	})
	l.run("mountpoint", "--quiet", stateDir)
}

// restartCount returns how often systemd started the agent again.
func (l *laptop) restartCount() int {
	l.t.Helper()
	n, err := strconv.Atoi(l.property(agentUnit, "NRestarts"))
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

func TestTheServiceWaitsForADiskThatIsMountedLate(t *testing.T) {
	l := bootWithDisk(t)
	l.addDisk()
	l.restartMachine()
	l.awaitOnlyDiskMissing()
	l.sendDisk("attached")
	l.awaitUp()
	l.awaitConnected()
	if n := l.restartCount(); n != 0 {
		t.Errorf("the agent was started %d times before its disk was there", n)
	}
}

// A disk that takes too long at boot causes a failed mount. It is mounted by hand later.
func TestTheServiceGoesOnAfterAMountThatFailedAtBoot(t *testing.T) {
	l := bootWithDisk(t)
	l.addDisk()
	l.restartMachine()
	l.awaitOnlyDiskMissing()
	l.sendDisk("missing")
	l.awaitUp()
	l.awaitRestarts()
	l.run("mount", "--bind", "/srv/disk", stateDir)
	l.awaitConnected()
}

// systemd has no unit for the disk.
func TestTheServiceGoesOnWhenItsDiskIsMountedByHand(t *testing.T) {
	l := bootWithDisk(t)
	l.reboot()
	l.awaitRestarts()
	l.run("mount", "--bind", "/srv/disk", stateDir)
	l.awaitConnected()
}

// awaitRestarts waits until the status shows that systemd restarts the agent repeatedly.
func (l *laptop) awaitRestarts() {
	l.t.Helper()
	l.await("the status shows auto-restart", func() bool {
		_, out := l.agent("status")
		return strings.Contains(out, "auto-restart")
	})
	l.await("the agent was started again", func() bool { return l.restartCount() > 1 })
}
