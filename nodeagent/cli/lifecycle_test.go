//go:build linux

package cli

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/service"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

func TestTheLifeOfAnAgentEveryVerbTwice(t *testing.T) {
	l := newLaptop(t)
	l.install()
	l.install()
	l.expect(21, "mooring-agent start", "status")
	l.expect(0, "Started: process", "start")
	l.expect(0, "Already running", "start")
	l.expect(0, "yes, as node fleet/box", "status", "--wait", "30s")
	l.expect(0, "connected since", "doctor")
	first := l.services.PID()
	l.expect(0, "Already running", "install", "--now")
	if now := l.services.PID(); now != first {
		t.Errorf("an install of nothing new restarted process %d as %d", first, now)
	}
	l.expect(0, "Started: process", "restart")
	l.expect(0, "Started: process", "restart")
	if now := l.services.PID(); now == first || now == 0 {
		t.Errorf("restart left process %d, now %d", first, now)
	}
	l.expect(0, "registered", "logs")
	l.expect(0, "Stopped", "stop")
	l.expect(0, "Already stopped", "stop")
	l.expect(23, "-> mooring-agent start", "doctor")
	l.expect(0, "Kept the identity", "uninstall", "--yes")
	l.expect(0, "No service is installed", "uninstall", "--yes")
	if _, err := os.Stat(l.config()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the configuration is still there: %v", err)
	}
	// The next install reuses the identity that uninstall kept.
	l.expect(0, "Started: process", "install", "--now")
	l.expect(0, "Connected", "status", "--wait", "30s")
}

func TestUninstallRevokeTellsTheClusterAndLeavesOnlyWhatTheUserMade(t *testing.T) {
	l := newLaptop(t)
	l.install("--now")
	own := filepath.Join(l.dir(), "mediation.yaml")
	if err := os.WriteFile(own, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l.expect(0, "Left, because the agent did not make it: "+own, "uninstall", "--revoke", "--yes")
	if n := l.gateway.Node.Revoked.Load(); n != 1 {
		t.Errorf("the gateway got %d valid revocations, want 1", n)
	}
	if remaining, err := os.ReadDir(l.dir()); err != nil || len(remaining) != 1 {
		t.Errorf("the directory holds %v, %v", remaining, err)
	}
	l.expect(0, "No service is installed", "uninstall", "--revoke", "--yes")
	l.expect(22, "is not paired", "status")
}

func TestUninstallRevokeReachesWhichGatewayThereIs(t *testing.T) {
	l := newLaptop(t)
	l.gateway.NodeEndpoint = "127.0.0.1:1," + l.gateway.NodeEndpoint
	l.install("--now")
	l.expect(0, "yes, as node fleet/box", "status", "--wait", "30s")
	l.expect(0, "127.0.0.1:1: dial tcp 127.0.0.1:1", "doctor")
	l.expect(0, "The cluster recorded that", "uninstall", "--revoke", "--yes")
	if n := l.gateway.Node.Revoked.Load(); n != 1 {
		t.Errorf("the gateway got %d valid revocations, want 1", n)
	}
}

func TestUninstallRevokeWithALapsedCertificateSaysHowToRecoverIt(t *testing.T) {
	l := newLaptop(t)
	key := fakegateway.NewKey(t)
	leaf := l.gateway.DeviceCA.IssueDevice(t, fakegateway.ID("box"), &key.PublicKey, 0)
	current, err := store.NewIdentity(key, []*x509.Certificate{leaf})
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(l.dir())
	if err != nil {
		t.Fatal(err)
	}
	err = s.FinishPairing(current, l.gateway.ServerCA.Bundle(t), store.Config{NodeEndpoint: l.gateway.NodeEndpoint, PairingEndpoint: l.gateway.PairingEndpoint})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	l.install()
	l.expect(13, "nothing was removed. Run mooring-agent start", "uninstall", "--revoke", "--yes")
	// The advice of that message works.
	l.expect(0, "Started: process", "start")
	l.expect(0, "Connected", "status", "--wait", "30s")
	l.expect(0, "The cluster recorded that", "uninstall", "--revoke", "--yes")
}

func TestAMachineWithoutServiceManager(t *testing.T) {
	l := newLaptop(t)
	l.env = append(l.env, servicesDir+"=none")
	for _, args := range [][]string{{"start"}, {"stop"}, {"restart"}, {"logs"}, {"install"}} {
		l.expect(12, "no service manager", args...)
	}
	l.expect(22, "no service manager", "status")
	l.expect(0, "No service is installed", "uninstall", "--yes")
}

func TestAKilledServiceIsNotConnected(t *testing.T) {
	l := newLaptop(t)
	l.install("--now")
	l.expect(0, "Connected", "status", "--wait", "30s")
	pid := l.services.PID()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	l.awaitExit(pid)
	code, out := l.run("status", "-o", "json")
	var o overview
	// The decoder stops after the object, because standard error follows it.
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&o); err != nil || code != exitNotRunning || o.Running || o.Connected || !o.Paired || !o.Installed {
		t.Errorf("exit %d, %v: %+v", code, err, o)
	}
	l.expect(0, "Started: process", "start")
}

// TestInstallTellsTheServiceManagerWhichFilesTheAgentNeeds checks the files of the service
// definition. A service manager that knows mounts waits for the disks of these files.
func TestInstallTellsTheServiceManagerWhichFilesTheAgentNeeds(t *testing.T) {
	l := newLaptop(t)
	capabilities, policy := filepath.Join(l.home, "caps"), filepath.Join(l.home, "policy.yaml")
	writeFile(t, policy, "rules: []\n", 0o600)
	l.install("--capabilities-dir", capabilities, "--mediation-policy", policy)
	content, err := os.ReadFile(filepath.Join(l.services.Dir, "definition"))
	if err != nil {
		t.Fatal(err)
	}
	var d service.Definition
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{d.Executable, l.config(), l.dir(), capabilities, policy} {
		if !slices.Contains(d.Files, file) {
			t.Errorf("%s is not among %q", file, d.Files)
		}
	}
}

// TestAPolicyThatIsNotThereIsNotTheDefault checks that a missing policy file is an error. A named
// policy file may be missing because its disk is not mounted, so the agent must not use the default
// policy.
func TestAPolicyThatIsNotThereIsNotTheDefault(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	code, _, errOut := execute(t, t.Context(), "", "run", "--identity-dir", filepath.Join(t.TempDir(), "id"), "--name", "box", "--mediation-policy", policy)
	if code != exitError || !strings.Contains(errOut, policy) {
		t.Errorf("exit %d: %s", code, errOut)
	}
}
