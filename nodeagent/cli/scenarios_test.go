//go:build linux

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/test/eventually"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// wantedExit is the exit code of a command line and a part of its output.
type wantedExit struct {
	code   int
	output string
}

// step is a command line that is run twice in a row; first and second are its two endings.
type step struct {
	line          string
	first, second wantedExit
	// between changes the machine after the first run; nil means no change.
	between func(*laptop)
}

func runTwice(line string, code int, output string) step {
	return step{line: line, first: wantedExit{code, output}, second: wantedExit{code, output}}
}

// scenario is the state of a machine and the command lines that are run on it, in this order.
type scenario struct {
	name  string
	setUp func(*laptop)
	steps []step
}

const (
	installHint   = "install it: mooring-agent install"
	pairHint      = "--pairing HOST:PORT --code CODE"
	startHint     = "mooring-agent start"
	configMistake = `config.yaml:2: unknown key "transprot"`
	validateHint  = "Correct the configuration, then: mooring-agent config validate"
	userHint      = "Run it as the user of the agent, or as root (sudo)."
)

// TestEveryCommandInEverySituation runs every command in every situation, twice. A command that did
// not do its task exits with the exit code of the manual and names the next step.
func TestEveryCommandInEverySituation(t *testing.T) {
	for _, s := range append(ordinaryScenarios(), failureScenarios()...) {
		t.Run(s.name, func(t *testing.T) {
			l := newLaptop(t)
			s.setUp(l)
			for _, turn := range s.steps {
				args := strings.Fields(turn.line)
				l.expect(turn.first.code, turn.first.output, args...)
				if turn.between != nil {
					turn.between(l)
				}
				l.expect(turn.second.code, turn.second.output, args...)
			}
		})
	}
}

func ordinaryScenarios() []scenario {
	return []scenario{
		{"a new machine", func(*laptop) {}, []step{
			runTwice("start", 10, installHint),
			runTwice("stop", 10, installHint),
			runTwice("restart", 10, installHint),
			runTwice("logs", 10, installHint),
			runTwice("status", 22, pairHint),
			runTwice("doctor", 23, "pair this machine: mooring-agent install"),
			runTwice("config view", 0, "identityDir"),
			runTwice("config validate", 0, "is not there; the defaults count"),
			runTwice("mediate list", 21, startHint),
			runTwice("mediate allow x", 21, startHint),
			runTwice("run", 2, "--code CODE"),
			runTwice("install", 2, pairHint),
			runTwice("uninstall", 2, "answer yes, or give --yes"),
			runTwice("uninstall --yes", 0, "No service is installed"),
			{line: "uninstall --revoke --yes", first: wantedExit{0, "Removed the identity"}, second: wantedExit{0, "No identity in"}},
			runTwice("uninstall --purge --yes", 0, "No identity in"),
		}},
		{"installed and stopped", func(l *laptop) { l.install() }, []step{
			runTwice("status", 21, startHint),
			runTwice("doctor", 23, "-> mooring-agent logs, then mooring-agent start"),
			runTwice("logs", 0, ""),
			runTwice("mediate watch", 21, startHint),
			runTwice("config validate", 0, "is good"),
			runTwice("stop", 0, "Already stopped"),
			runTwice("install", 0, "Start it: mooring-agent start"),
			{line: "start", first: wantedExit{0, "Started: process"}, second: wantedExit{0, "Already running"}},
			{line: "stop", first: wantedExit{0, "Stopped"}, second: wantedExit{0, "Already stopped"}},
			runTwice("restart", 0, "Started: process"),
			{line: "uninstall --yes", first: wantedExit{0, "Kept the identity"}, second: wantedExit{0, "No service is installed"}},
			{line: "install --now", first: wantedExit{0, "Started: process"}, second: wantedExit{0, "Already running"}},
			{line: "uninstall --purge --yes", first: wantedExit{0, "Removed the identity"}, second: wantedExit{0, "No identity in"}},
		}},
		{"connected", setUpConnected, []step{
			runTwice("status", 0, "Connected"),
			runTwice("doctor", 0, "connected since"),
			runTwice("logs", 0, "registered"),
			runTwice("mediate list", 0, "Nothing waits for an answer."),
			runTwice("mediate deny x", 1, "see mooring-agent mediate list"),
			runTwice("config view", 0, "config.yaml:"),
			runTwice("run", 8, "stop it, or choose another directory"),
			runTwice("start", 0, "Already running"),
			runTwice("install", 0, "Installed: "),
			runTwice("uninstall", 2, "answer yes, or give --yes"),
			runTwice("restart", 0, "Started: process"),
			{line: "uninstall --revoke --yes", first: wantedExit{0, "The cluster recorded that"}, second: wantedExit{0, "No service is installed"}},
		}},
	}
}

func setUpConnected(l *laptop) {
	l.install("--now")
	l.expect(0, "Connected", "status", "--wait", "30s")
}

func failureScenarios() []scenario {
	return []scenario{
		{"no service manager", func(l *laptop) {
			if _, err := os.Stat("/run/systemd/system"); err == nil {
				l.t.Skip("a systemd runs here, and is left alone")
			}
			l.env = append(l.env, servicesDir+"=system")
		}, []step{
			runTwice("start", 12, "with the process manager of this machine"),
			runTwice("stop", 12, "with the process manager of this machine"),
			runTwice("restart", 12, "with the process manager of this machine"),
			runTwice("logs", 12, "with the process manager of this machine"),
			runTwice("install", 12, "with the process manager of this machine"),
			runTwice("status", 22, pairHint),
			runTwice("doctor", 23, "keep `mooring-agent run` running by other means"),
			runTwice("uninstall --yes", 0, "No service is installed"),
		}},
		{"a mistake in the configuration", func(l *laptop) {
			setUpConnected(l)
			l.unsetEnv("MOORING_IDENTITY_DIR")
			l.writeConfig("identityDir: " + l.dir() + "\ntransprot: poll\n")
		}, []step{
			runTwice("status", 0, validateHint),
			runTwice("logs", 0, "registered"),
			runTwice("doctor", 23, configMistake),
			runTwice("run", 2, configMistake),
			runTwice("install", 2, configMistake),
			runTwice("start", 2, configMistake),
			runTwice("restart", 2, configMistake),
			runTwice("mediate list", 2, configMistake),
			runTwice("config view", 2, configMistake),
			runTwice("config validate", 2, configMistake),
			{line: "stop", first: wantedExit{0, "Stopped"}, second: wantedExit{0, "Already stopped"}},
			runTwice("status", 21, configMistake),
			// Without the configuration the identity directory is unknown: the default would be the
			// one of the machine that runs the test.
			{line: "uninstall --revoke --yes", first: wantedExit{0, "The cluster recorded that"}, second: wantedExit{0, "No service is installed"},
				between: func(l *laptop) { l.env = append(l.env, "MOORING_IDENTITY_DIR="+l.dir()) }},
		}},
		{"a configuration that cannot be parsed", func(l *laptop) {
			l.install()
			l.unsetEnv("MOORING_IDENTITY_DIR")
			l.writeConfig("identityDir: [")
			l.runAsNobody() // the default paths of this user are in the home directory
			l.chownHome()
		}, []step{
			runTwice("status", 2, "correct it, or give --identity-dir"),
			runTwice("start", 2, "config.yaml"),
			runTwice("stop", 0, "Already stopped"),
			runTwice("logs", 0, validateHint),
			runTwice("uninstall --revoke --yes", 2, "nothing was removed. Correct it, or give --identity-dir"),
			runTwice("uninstall --purge --yes", 2, "nothing was removed. Correct it, or give --identity-dir"),
			{line: "uninstall --yes", first: wantedExit{0, "which may say where the identity is"}, second: wantedExit{0, "No service is installed"}},
		}},
		{"without rights", func(l *laptop) { setUpConnected(l); l.runAsNobody() }, permissionDeniedSteps()},
		{"without rights, and with a mistake in the configuration", func(l *laptop) {
			setUpConnected(l)
			l.writeConfig("name: box\ntransprot: poll\n")
			if err := os.Chmod(l.config(), 0o644); err != nil {
				l.t.Fatal(err)
			}
			l.runAsNobody()
		}, []step{
			runTwice("stop", 11, userHint),
			runTwice("logs", 11, userHint),
			runTwice("status", 11, userHint),
			runTwice("uninstall --yes", 11, userHint),
			runTwice("doctor", 23, "run this as the user of the agent, or as root"),
			runTwice("start", 2, configMistake),
		}},
		{"offline", func(l *laptop) { setUpConnected(l); l.expect(0, "Stopped", "stop"); l.setUnreachableGateway() }, []step{
			{line: "start", first: wantedExit{0, "Started: process"}, second: wantedExit{0, "Already running"}},
			runTwice("status", 20, "find out why: mooring-agent doctor"),
			runTwice("doctor", 23, "let this machine out to TCP port"),
			runTwice("logs", 0, "registered"),
			runTwice("install", 0, "Installed: "),
			runTwice("uninstall --revoke --yes", 13, "Try again when the gateway can be reached, or use --purge"),
			runTwice("status", 20, "find out why: mooring-agent doctor"), // it runs and has its identity
			runTwice("restart", 0, "Started: process"),
			{line: "stop", first: wantedExit{0, "Stopped"}, second: wantedExit{0, "Already stopped"}},
			{line: "uninstall --purge --yes", first: wantedExit{0, "Removed the identity"}, second: wantedExit{0, "No identity in"}},
		}},
	}
}

func permissionDeniedSteps() []step {
	var steps []step
	for _, line := range []string{"start", "stop", "restart", "logs", "status", "run", "install", "mediate list", "mediate deny x",
		"config view", "config validate", "uninstall --yes", "uninstall --revoke --yes"} {
		steps = append(steps, runTwice(line, 11, userHint))
	}
	return append(steps, runTwice("doctor", 23, "run this as the user of the agent, or as root"))
}

// chownHome makes the user under test the owner of everything in the home directory.
func (l *laptop) chownHome() {
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

// TestStatusShowsAMachineThatWaitsForApprovalAsPairing checks the status of an agent whose request
// has no decision yet, of the next agent that waits for the same request, and after the approval.
func TestStatusShowsAMachineThatWaitsForApprovalAsPairing(t *testing.T) {
	l := newLaptop(t)
	var approved atomic.Bool
	l.gateway.Pairing.Status = func(int, []byte) (*gatewayv1.GetPairingRequestStatusResponse, error) {
		if approved.Load() {
			return nil, nil
		}
		return &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Pending{
			Pending: &gatewayv1.PairingPending{Message: "ask ada"}}}, nil
	}
	for _, args := range [][]string{{"run", "--pairing", l.gateway.PairingEndpoint, "--code", fakegateway.Code.String()}, {"run"}} {
		cmd, _ := l.command(args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var shown string
		eventually.True(t, "status shows the request", func() bool {
			code, out := l.run("status")
			shown = fmt.Sprintf("code %d:\n%s", code, out)
			return code == exitNotConnected && strings.Contains(out, "Pairing, process") && strings.Contains(out, "fleet/request: ask ada")
		}, &shown)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
	}
	approved.Store(true)
	cmd, _ := l.command("run")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l.expect(0, "Connected, process", "status", "--wait", "30s")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the agent ended: %v", err)
	}
}

// TestPairingWhileOfflineCanBeInterrupted checks that a machine which is not paired waits for its
// gateway and prints a line about it, and that Ctrl-C ends the wait.
func TestPairingWhileOfflineCanBeInterrupted(t *testing.T) {
	for verb, want := range map[string]wantedExit{"install": {1, "interrupted; run it again"}, "run": {0, ""}} {
		t.Run(verb, func(t *testing.T) {
			l := newLaptop(t)
			address := closedAddress(t)
			for range 2 {
				cmd, all := l.command(verb, "--pairing", address, "--code", fakegateway.Code.String())
				out := &watchedBuffer{to: all, word: "cannot be reached", seen: make(chan struct{})}
				cmd.Stdout, cmd.Stderr = out, out
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- cmd.Wait() }()
				select {
				case <-out.seen:
				case err := <-ended:
					t.Fatalf("it ended: %v: %s", err, all)
				}
				if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
				<-ended
				if code := cmd.ProcessState.ExitCode(); code != want.code || !strings.Contains(all.String(), want.output) {
					t.Errorf("exit %d, want %d and %q: %s", code, want.code, want.output, all)
				}
			}
		})
	}
}
