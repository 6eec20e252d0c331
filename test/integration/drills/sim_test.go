package drills_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mooring-dev/mooring/hack/dev/poll"
	"github.com/mooring-dev/mooring/test/sim"
)

// simulatorCommand returns the command mooring-sim against this package's system.
func simulatorCommand(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(system.Cluster.Binary("mooring-sim"), append([]string{"--kubeconfig", system.Cluster.Kubeconfig(), "--dir", dir,
		"--pairing", system.PairingEndpoint, "--node", system.NodeEndpoint}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// TestTheSimulatorPairsStormsAndSaysWhatHappened runs machines that pair the real way, in two
// processes, with a storm. The summary must report the true numbers.
func TestTheSimulatorPairsStormsAndSaysWhatHappened(t *testing.T) {
	dir, before := t.TempDir(), countFleets(t)
	var out, progress bytes.Buffer
	cmd := simulatorCommand(t, dir, "--agents", "6", "--processes", "2", "--pair", "--storms", "1", "--hold", "2s")
	cmd.Stdout, cmd.Stderr = &out, &progress
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	var s sim.Summary
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatalf("read %q: %v", out.String(), err)
	}
	if s.Agents != 6 || s.Online != 6 || s.Sessions != 12 || s.Storms != 1 || len(s.ReconnectSeconds) != 1 {
		t.Errorf("summary %+v, want 6 agents with 2 sessions each", s)
	}
	if len(s.AgentsIn) != 2 || s.AgentsIn[0] != 3 || s.AgentsIn[1] != 3 {
		t.Errorf("the processes hold %v agents, want 3 each", s.AgentsIn)
	}
	if !strings.Contains(progress.String(), "6 online") {
		t.Errorf("the progress line was %q", progress.String())
	}
	expectNothingLeft(t, dir, before)
}

// TestAnInterruptedSimulationCleansUp interrupts a simulation with Ctrl-C, or kills its main process,
// which controls the others. Neither may leave directories or objects behind.
func TestAnInterruptedSimulationCleansUp(t *testing.T) {
	for _, end := range []os.Signal{os.Interrupt, os.Kill} {
		t.Run(end.String(), func(t *testing.T) {
			dir, before := t.TempDir(), countFleets(t)
			cmd := simulatorCommand(t, dir, "--agents", "10", "--processes", "2", "--hold", "1h")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if err := poll.UntilTrue(t.Context(), func() bool { entries, _ := os.ReadDir(dir); return len(entries) >= 5 }); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Process.Signal(end); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Error("an interrupted run ended with success")
			}
			if end == os.Kill { // no process waits for the others
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				// expectNothingLeft reports the remains.
				_ = poll.UntilTrue(ctx, func() bool { entries, _ := os.ReadDir(dir); return len(entries) == 0 && countFleets(t) == before })
			}
			expectNothingLeft(t, dir, before)
		})
	}
}

// countFleets returns the number of namespaces of simulated machines that are not being deleted.
func countFleets(t *testing.T) (n int) {
	t.Helper()
	var list corev1.NamespaceList
	if err := system.Client.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	for _, namespace := range list.Items {
		if strings.HasPrefix(namespace.Name, "sim-") && namespace.DeletionTimestamp.IsZero() {
			n++
		}
	}
	return n
}

func expectNothingLeft(t *testing.T, dir string, before int) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%d directories are left: %v", len(entries), err)
	}
	if n := countFleets(t); n != before {
		t.Errorf("%d namespaces of machines, %d before", n, before)
	}
}
