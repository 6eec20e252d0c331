//go:build linux

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mooring-dev/mooring/nodeagent/gatewaytest"
)

// ending is the exit code of a command line and a part of its output.
type ending struct {
	code int
	says string
}

// turn is a command line that is run twice in a row; first and again are its two endings.
type turn struct {
	line         string
	first, again ending
	// between changes the machine after the first run; nil means no change.
	between func(*laptop)
}

func twice(line string, code int, says string) turn {
	return turn{line: line, first: ending{code, says}, again: ending{code, says}}
}

// situation is the state of a machine and the command lines that are run on it, in this order.
type situation struct {
	name  string
	begin func(*laptop)
	turns []turn
}

const (
	howToInstall = "install it: mooring-agent install"
	howToPair    = "--pairing HOST:PORT --code CODE"
	howToStart   = "mooring-agent start"
	howToMend    = `config.yaml:2: unknown key "transprot"`
	howToLook    = "Correct the configuration, then: mooring-agent config validate"
	rightUser    = "Run it as the user of the agent, or as root (sudo)."
)

// TestEveryCommandInEverySituation runs every command in every situation, twice. A command that did
// not do its task exits with the exit code of the manual and names the next step.
func TestEveryCommandInEverySituation(t *testing.T) {
	for _, s := range append(ordinary(), unlucky()...) {
		t.Run(s.name, func(t *testing.T) {
			l := newLaptop(t)
			s.begin(l)
			for _, turn := range s.turns {
				args := strings.Fields(turn.line)
				l.expect(turn.first.code, turn.first.says, args...)
				if turn.between != nil {
					turn.between(l)
				}
				l.expect(turn.again.code, turn.again.says, args...)
			}
		})
	}
}

func ordinary() []situation {
	return []situation{
		{"a new machine", func(*laptop) {}, []turn{
			twice("start", 10, howToInstall),
			twice("stop", 10, howToInstall),
			twice("restart", 10, howToInstall),
			twice("logs", 10, howToInstall),
			twice("status", 22, howToPair),
			twice("doctor", 23, "pair this machine: mooring-agent install"),
			twice("config view", 0, "identityDir"),
			twice("config validate", 0, "is not there; the defaults count"),
			twice("mediate list", 21, howToStart),
			twice("mediate allow x", 21, howToStart),
			twice("run", 2, "--code CODE"),
			twice("install", 2, howToPair),
			twice("uninstall", 2, "answer yes, or give --yes"),
			twice("uninstall --yes", 0, "No service is installed"),
			{line: "uninstall --revoke --yes", first: ending{0, "Removed the identity"}, again: ending{0, "No identity in"}},
			twice("uninstall --purge --yes", 0, "No identity in"),
		}},
		{"installed and stopped", func(l *laptop) { l.install() }, []turn{
			twice("status", 21, howToStart),
			twice("doctor", 23, "-> mooring-agent logs, then mooring-agent start"),
			twice("logs", 0, ""),
			twice("mediate watch", 21, howToStart),
			twice("config validate", 0, "is good"),
			twice("stop", 0, "Already stopped"),
			twice("install", 0, "Start it: mooring-agent start"),
			{line: "start", first: ending{0, "Started: process"}, again: ending{0, "Already running"}},
			{line: "stop", first: ending{0, "Stopped"}, again: ending{0, "Already stopped"}},
			twice("restart", 0, "Started: process"),
			{line: "uninstall --yes", first: ending{0, "Kept the identity"}, again: ending{0, "No service is installed"}},
			{line: "install --now", first: ending{0, "Started: process"}, again: ending{0, "Already running"}},
			{line: "uninstall --purge --yes", first: ending{0, "Removed the identity"}, again: ending{0, "No identity in"}},
		}},
		{"connected", connected, []turn{
			twice("status", 0, "Connected"),
			twice("doctor", 0, "connected since"),
			twice("logs", 0, "registered"),
			twice("mediate list", 0, "Nothing waits for an answer."),
			twice("mediate deny x", 1, "see mooring-agent mediate list"),
			twice("config view", 0, "config.yaml:"),
			twice("run", 8, "stop it, or choose another directory"),
			twice("start", 0, "Already running"),
			twice("install", 0, "Installed: "),
			twice("uninstall", 2, "answer yes, or give --yes"),
			twice("restart", 0, "Started: process"),
			{line: "uninstall --revoke --yes", first: ending{0, "The cluster was told"}, again: ending{0, "No service is installed"}},
		}},
	}
}

func connected(l *laptop) {
	l.install("--now")
	l.expect(0, "Connected", "status", "--wait", "30s")
}

func unlucky() []situation {
	return []situation{
		{"no service manager", func(l *laptop) {
			if _, err := os.Stat("/run/systemd/system"); err == nil {
				l.t.Skip("a systemd runs here, and is left alone")
			}
			l.env = append(l.env, servicesDir+"=system")
		}, []turn{
			twice("start", 12, "have `mooring-agent run` kept running"),
			twice("stop", 12, "have `mooring-agent run` kept running"),
			twice("restart", 12, "have `mooring-agent run` kept running"),
			twice("logs", 12, "have `mooring-agent run` kept running"),
			twice("install", 12, "have `mooring-agent run` kept running"),
			twice("status", 22, howToPair),
			twice("doctor", 23, "keep `mooring-agent run` running by other means"),
			twice("uninstall --yes", 0, "No service is installed"),
		}},
		{"a mistake in the configuration", func(l *laptop) {
			connected(l)
			l.without("MOORING_IDENTITY_DIR")
			l.configure("identityDir: " + l.dir() + "\ntransprot: poll\n")
		}, []turn{
			twice("status", 0, howToLook),
			twice("logs", 0, "registered"),
			twice("doctor", 23, howToMend),
			twice("run", 2, howToMend),
			twice("install", 2, howToMend),
			twice("start", 2, howToMend),
			twice("restart", 2, howToMend),
			twice("mediate list", 2, howToMend),
			twice("config view", 2, howToMend),
			twice("config validate", 2, howToMend),
			{line: "stop", first: ending{0, "Stopped"}, again: ending{0, "Already stopped"}},
			twice("status", 21, howToMend),
			// Without the configuration the identity directory is unknown: the default would be the
			// one of the machine that runs the test.
			{line: "uninstall --revoke --yes", first: ending{0, "The cluster was told"}, again: ending{0, "No service is installed"},
				between: func(l *laptop) { l.env = append(l.env, "MOORING_IDENTITY_DIR="+l.dir()) }},
		}},
		{"a configuration that cannot be parsed", func(l *laptop) {
			l.install()
			l.without("MOORING_IDENTITY_DIR")
			l.configure("identityDir: [")
			l.asNobody() // the default paths of this user are in the home directory
			l.give()
		}, []turn{
			twice("status", 2, "correct it, or give --identity-dir"),
			twice("start", 2, "config.yaml"),
			twice("stop", 0, "Already stopped"),
			twice("logs", 0, howToLook),
			twice("uninstall --revoke --yes", 2, "nothing was removed. Correct it, or give --identity-dir"),
			twice("uninstall --purge --yes", 2, "nothing was removed. Correct it, or give --identity-dir"),
			{line: "uninstall --yes", first: ending{0, "which may say where the identity is"}, again: ending{0, "No service is installed"}},
		}},
		{"without rights", func(l *laptop) { connected(l); l.asNobody() }, noRights()},
		{"without rights, and with a mistake in the configuration", func(l *laptop) {
			connected(l)
			l.configure("name: box\ntransprot: poll\n")
			if err := os.Chmod(l.config(), 0o644); err != nil {
				l.t.Fatal(err)
			}
			l.asNobody()
		}, []turn{
			twice("stop", 11, rightUser),
			twice("logs", 11, rightUser),
			twice("status", 11, rightUser),
			twice("uninstall --yes", 11, rightUser),
			twice("doctor", 23, "run this as the user of the agent, or as root"),
			twice("start", 2, howToMend),
		}},
		{"offline", func(l *laptop) { connected(l); l.expect(0, "Stopped", "stop"); l.offline() }, []turn{
			{line: "start", first: ending{0, "Started: process"}, again: ending{0, "Already running"}},
			twice("status", 20, "find out why: mooring-agent doctor"),
			twice("doctor", 23, "let this machine out to TCP port"),
			twice("logs", 0, "registered"),
			twice("install", 0, "Installed: "),
			twice("uninstall --revoke --yes", 13, "Try again when the gateway can be reached, or use --purge"),
			twice("status", 20, "find out why: mooring-agent doctor"), // it runs and has its identity
			twice("restart", 0, "Started: process"),
			{line: "stop", first: ending{0, "Stopped"}, again: ending{0, "Already stopped"}},
			{line: "uninstall --purge --yes", first: ending{0, "Removed the identity"}, again: ending{0, "No identity in"}},
		}},
	}
}

func noRights() []turn {
	var turns []turn
	for _, line := range []string{"start", "stop", "restart", "logs", "status", "run", "install", "mediate list", "mediate deny x",
		"config view", "config validate", "uninstall --yes", "uninstall --revoke --yes"} {
		turns = append(turns, twice(line, 11, rightUser))
	}
	return append(turns, twice("doctor", 23, "run this as the user of the agent, or as root"))
}

// give makes the user under test the owner of everything in the home directory.
func (l *laptop) give() {
	l.t.Helper()
	err := filepath.WalkDir(l.home, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(l.user.Uid), int(l.user.Gid))
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// TestAServiceDoesNotStartBesideAnotherAgent checks that start does not take an agent that a person
// runs by hand for the service.
func TestAServiceDoesNotStartBesideAnotherAgent(t *testing.T) {
	l := newLaptop(t)
	l.install()
	cmd, _ := l.command("run")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l.expect(0, "Connected", "status", "--wait", "30s")
	for range 2 {
		l.expect(8, "which is not the service", "start")
		l.expect(8, "which is not the service", "install", "--now")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the agent ended: %v", err)
	}
	l.expect(0, "Started: process", "start")
}

// TestPairingWhileOfflineCanBeInterrupted checks that a machine which is not paired waits for its
// gateway and prints a line about it, and that Ctrl-C ends the wait.
func TestPairingWhileOfflineCanBeInterrupted(t *testing.T) {
	for verb, ends := range map[string]ending{"install": {1, "interrupted; run it again"}, "run": {0, ""}} {
		t.Run(verb, func(t *testing.T) {
			l := newLaptop(t)
			address := closed(t)
			for range 2 {
				cmd, all := l.command(verb, "--pairing", address, "--code", gatewaytest.Code.String())
				said := &tapped{to: all, word: "cannot be reached", heard: make(chan struct{})}
				cmd.Stdout, cmd.Stderr = said, said
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- cmd.Wait() }()
				select {
				case <-said.heard:
				case err := <-ended:
					t.Fatalf("it ended: %v: %s", err, all)
				}
				if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
				<-ended
				if code := cmd.ProcessState.ExitCode(); code != ends.code || !strings.Contains(all.String(), ends.says) {
					t.Errorf("exit %d, want %d and %q: %s", code, ends.code, ends.says, all)
				}
			}
		})
	}
}
