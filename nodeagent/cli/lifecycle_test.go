//go:build linux

package cli

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/mooring-dev/mooring/nodeagent/gatewaytest"
	"github.com/mooring-dev/mooring/nodeagent/service"
	"github.com/mooring-dev/mooring/nodeagent/service/spawner"
	"github.com/mooring-dev/mooring/nodeagent/store"
)

// The test binary is the agent too: whoever runs it with this variable gets the real
// command line, with a service manager that keeps its things in that folder.
const servicesDir = "CLI_TEST_SERVICES"

func TestMain(m *testing.M) {
	if dir := os.Getenv(servicesDir); dir != "" {
		build := Build{Services: func() (service.Manager, error) {
			if dir == "none" {
				return nil, service.ErrNoManager
			}
			return spawner.Manager{Dir: dir}, nil
		}}
		os.Exit(Main(build, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// laptop is a machine with a home of its own.
type laptop struct {
	t        *testing.T
	home     string
	services spawner.Manager
	gateway  *gatewaytest.Gateway
	user     *syscall.Credential
	env      []string
}

func newLaptop(t *testing.T) *laptop {
	t.Helper()
	home := t.TempDir()
	l := &laptop{t: t, home: home, services: spawner.Manager{Dir: filepath.Join(home, "services")}, gateway: gatewaytest.Start(t)}
	if err := os.Mkdir(l.services.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l.env = []string{"HOME=" + home, "MOORING_CONFIG=" + l.config(), "MOORING_IDENTITY_DIR=" + l.dir(),
		"MOORING_NAME=box", "GORACE=atexit_sleep_ms=0", servicesDir + "=" + l.services.Dir}
	t.Cleanup(func() {
		if err := l.services.Stop(); err != nil {
			t.Error(err)
		}
		if log, err := os.ReadFile(filepath.Join(l.services.Dir, "log")); err == nil && t.Failed() {
			t.Logf("the service said:\n%s", log)
		}
	})
	return l
}

func (l *laptop) config() string { return filepath.Join(l.home, "etc", "config.yaml") }
func (l *laptop) dir() string    { return filepath.Join(l.home, "id") }

// run runs the command line and returns its exit code and all it said.
func (l *laptop) run(args ...string) (int, string) {
	l.t.Helper()
	cmd := exec.CommandContext(l.t.Context(), os.Args[0], args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &out, l.env
	if l.user != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: l.user}
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// expect runs the command line and wants the exit code and the words.
func (l *laptop) expect(code int, says string, args ...string) {
	l.t.Helper()
	if got, out := l.run(args...); got != code || !strings.Contains(out, says) {
		l.t.Errorf("%s: exit %d, want %d and %q:\n%s", strings.Join(args, " "), got, code, says, out)
	}
}

func (l *laptop) install(more ...string) {
	l.t.Helper()
	args := append([]string{"install", "--pairing", l.gateway.PairingEndpoint, "--code", gatewaytest.Code.String()}, more...)
	l.expect(0, "Installed: ", args...)
}

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
	// What was kept is enough for the next one.
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
		t.Errorf("the gateway got %d good wishes, want 1", n)
	}
	if left, err := os.ReadDir(l.dir()); err != nil || len(left) != 1 {
		t.Errorf("left are %v, %v", left, err)
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
	l.expect(0, "The cluster was told", "uninstall", "--revoke", "--yes")
	if n := l.gateway.Node.Revoked.Load(); n != 1 {
		t.Errorf("the gateway got %d good wishes, want 1", n)
	}
}

func TestUninstallRevokeWithALapsedCertificateSaysHowToRecoverIt(t *testing.T) {
	l := newLaptop(t)
	key := gatewaytest.NewKey(t)
	leaf := l.gateway.DeviceCA.Device(t, gatewaytest.ID("box"), &key.PublicKey, 0)
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
	l.expect(1, "nothing was removed. Run mooring-agent start", "uninstall", "--revoke", "--yes")
	// What it says helps.
	l.expect(0, "Started: process", "start")
	l.expect(0, "Connected", "status", "--wait", "30s")
	l.expect(0, "The cluster was told", "uninstall", "--revoke", "--yes")
}

func TestVerbsOutOfOrderSayWhatToDo(t *testing.T) {
	l := newLaptop(t)
	for _, verb := range []string{"start", "stop", "restart", "logs"} {
		l.expect(10, "install it: mooring-agent install", verb)
	}
	l.expect(22, "--pairing HOST:PORT --code CODE", "status")
	l.expect(2, "--pairing HOST:PORT --code CODE", "install")
	l.expect(0, "No service is installed", "uninstall", "--yes")
	l.expect(2, "nothing was removed", "uninstall") // nobody there to ask
	l.expect(23, "pair it: mooring-agent install", "doctor")
	l.install()
	l.expect(0, "Removed the identity", "uninstall", "--purge", "--yes")
	l.install() // registered, then the identity goes away
	if err := os.RemoveAll(l.dir()); err != nil {
		t.Fatal(err)
	}
	l.expect(22, "pair it: mooring-agent install", "start")
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

func TestABrokenConfigurationNamesItsLine(t *testing.T) {
	l := newLaptop(t)
	l.install("--now")
	if err := os.WriteFile(l.config(), []byte("name: box\ntransprot: poll\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const says = `config.yaml:2: unknown key "transprot"`
	for _, args := range [][]string{{"run"}, {"install"}, {"start"}, {"restart"}, {"status"}, {"logs"}, {"uninstall", "--yes"}, {"config", "view"}, {"config", "validate"}} {
		l.expect(2, says, args...)
	}
	l.expect(23, says, "doctor")
	l.expect(0, "Stopped", "stop") // which needs no configuration
}

func TestAKilledServiceIsNotConnected(t *testing.T) {
	l := newLaptop(t)
	l.install("--now")
	l.expect(0, "Connected", "status", "--wait", "30s")
	pid := l.services.PID()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for l.services.PID() != 0 {
	}
	code, out := l.run("status", "-o", "json")
	var o overview
	// Standard error follows the object.
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&o); err != nil || code != exitNotRunning || o.Running || o.Connected || !o.Paired || !o.Installed {
		t.Errorf("exit %d, %v: %+v", code, err, o)
	}
	l.expect(0, "Started: process", "start")
}

func TestWhileOffline(t *testing.T) {
	l := newLaptop(t)
	l.install("--now")
	l.expect(0, "Connected", "status", "--wait", "30s")
	l.expect(0, "Stopped", "stop")
	// The gateway's address answers nobody any more.
	offline(t, l)
	l.expect(0, "Started: process", "start")
	l.expect(20, "cannot be reached", "status", "--wait", "2s")
	l.expect(23, "let this machine out to TCP port", "doctor")
	l.expect(1, "nothing was removed", "uninstall", "--revoke", "--yes")
	if l.services.PID() == 0 {
		t.Error("the service that ran does not run any more, though nothing was removed")
	}
	l.expect(0, "Removed the identity", "uninstall", "--purge", "--yes")
}

// offline gives the machine an address at which nobody listens.
func offline(t *testing.T, l *laptop) {
	t.Helper()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	closed.Close()
	where := `{"nodeEndpoint": "` + address + `", "pairingEndpoint": "` + address + `"}`
	if err := os.WriteFile(filepath.Join(l.dir(), "config.json"), []byte(where), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutRights(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	l := newLaptop(t)
	l.install("--now")
	l.expect(0, "Connected", "status", "--wait", "30s")
	for path := l.home; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(l.home, "mooring-agent")
	if out, err := exec.Command("cp", os.Args[0], program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	os.Args[0], program = program, os.Args[0]
	defer func() { os.Args[0] = program }()
	l.user = &syscall.Credential{Uid: 65534, Gid: 65534}
	for _, verb := range []string{"start", "stop", "restart"} {
		l.expect(11, "permission denied", verb)
	}
	l.expect(11, "permission denied", "install", "--pairing", l.gateway.PairingEndpoint, "--code", gatewaytest.Code.String())
	l.expect(11, "permission denied", "uninstall", "--yes")
	if code, out := l.run("status"); code == 0 || !strings.Contains(out, "permission denied") {
		t.Errorf("status: exit %d: %s", code, out)
	}
}
