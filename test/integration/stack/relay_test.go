package stack_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/fakegateway"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// tlsRelay is an attacker between a machine and the gateway. It ends TLS with its own certificate and
// forwards all bytes.
type tlsRelay struct {
	address     string
	connections atomic.Int64 // connections
	received    atomic.Int64 // bytes that the machine sent after the handshake
}

func newRelay(t *testing.T, certificate tls.Certificate) *tlsRelay {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &tlsRelay{address: listener.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			victim, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { r.forward(t.Context(), victim) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
	})
	return r
}

func (r *tlsRelay) Write(b []byte) (int, error) {
	r.received.Add(int64(len(b)))
	return len(b), nil
}

func (r *tlsRelay) forward(ctx context.Context, victim net.Conn) {
	defer victim.Close()
	r.connections.Add(1)
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}
	onward, err := dialer.DialContext(ctx, "tcp", system.PairingEndpoint)
	if err != nil {
		return
	}
	defer onward.Close()
	stop := context.AfterFunc(ctx, func() { victim.Close(); onward.Close() })
	defer stop()
	var copying sync.WaitGroup
	copying.Go(func() {
		_, _ = io.Copy(onward, io.TeeReader(victim, r))
		onward.Close()
	})
	_, _ = io.Copy(victim, onward)
	victim.Close()
	copying.Wait()
}

// gatewayCA returns the CA that the gateway presents; every client can read it.
func gatewayCA(t *testing.T) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", system.PairingEndpoint, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	chain := conn.ConnectionState().PeerCertificates
	return chain[len(chain)-1]
}

func TestARelayHearsNothingOfAMachineWithAQRCode(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	own := fakegateway.NewCA(t, "relay").IssueServer(t)
	borrowed := own
	borrowed.Certificate = append(append([][]byte{}, own.Certificate...), gatewayCA(t).Raw)
	invitation, name := f.createInvitation("--name", "kiosk")
	for what, certificate := range map[string]tls.Certificate{"its own CA": own, "its own and the gateway's CA": borrowed} {
		r := newRelay(t, certificate)
		relayed := invitation
		relayed.Gateway = r.address
		agent := f.startWithQRCode("kiosk", relayed)
		expectExit(f, agent, "nothing was sent to it")
		if code, err := agent.Wait(f.BoundedContext()); err != nil || code != 9 {
			t.Errorf("%s: exit code %d, error %v, want 9", what, code, err)
		}
		if r.connections.Load() == 0 || r.received.Load() != 0 {
			t.Errorf("%s: the relay accepted %d connections and received %d bytes", what, r.connections.Load(), r.received.Load())
		}
		checkStoresNothingForeign(f, "kiosk", invitation.LookupID) // no attempt was counted
	}
	code := testfleet.Await(f, name, &v1alpha1.PairingCode{}, "Active", func(c *v1alpha1.PairingCode) bool { return c.Status.Phase == v1alpha1.PairingCodeActive })
	if left := code.Status.AttemptsLeft; left != nil && *left != v1alpha1.MaxPairingTries {
		t.Errorf("the relay used attempts of the code: %d are left", *left)
	}
	var requests v1alpha1.PairingRequestList
	if err := system.Client.List(t.Context(), &requests, client.InNamespace(f.Namespace)); err != nil || len(requests.Items) != 0 {
		t.Errorf("%d requests were made, error %v", len(requests.Items), err)
	}
	// The same machine pairs with the same code, without the relay.
	f.startWithQRCode("kiosk", invitation)
	f.approve(f.AwaitRequest(name).Name)
	f.AwaitOnline("kiosk")
}

// This is the control. With a typed code a machine cannot detect the relay before the exchange: the
// relay receives the machine's messages, and the exchange fails.
func TestARelayHearsAMachineWithATypedCodeButCannotPairIt(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	r := newRelay(t, fakegateway.NewCA(t, "relay").IssueServer(t))
	code, _ := f.IssuePIN("kiosk")
	agent, err := system.StartAgentAt(f.Namespace+"-kiosk", r.address, "--code", code)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(agent.Stop)
	expectExit(f, agent, "does not accept this pairing code")
	if r.received.Load() == 0 {
		t.Error("the relay does not work: it received nothing")
	}
	checkStoresNothingForeign(f, "kiosk")
}

// checkStoresNothingForeign fails the test if the agent's files contain data that only a gateway could
// have sent, or one of more.
func checkStoresNothingForeign(f *fleet, name string, more ...string) {
	f.Helper()
	dir := system.IdentityDir(f.Namespace + "-" + name)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, trace := range append([]string{"CERTIFICATE", "Endpoint", f.Namespace}, more...) {
			if strings.Contains(string(content), trace) {
				f.Errorf("%s holds %q", path, trace)
			}
		}
		return err
	})
	// The agent may still run: a file that disappears during the walk is not a secret.
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.Fatal(err)
	}
}
