//go:build linux

package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mooring-dev/mooring/test/fakegateway"
)

// TestDoctorJudgesAGatewayWhereThereIsNoMachine runs doctor as in a pod that tries an install:
// without an identity, a home or a service manager.
func TestDoctorJudgesAGatewayWhereThereIsNoMachine(t *testing.T) {
	l := newLaptop(t)
	// The paths are set all the same, because the machine that runs the test may have an agent.
	l.env = []string{"GORACE=atexit_sleep_ms=0", servicesDir + "=none", "MOORING_CONFIG=" + l.config(), "MOORING_IDENTITY_DIR=" + l.dir()}
	ca := func(name string, text []byte) string {
		path := filepath.Join(l.home, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own := ca("own.crt", l.gateway.ServerCA.Bundle(t).PEM())
	other := ca("other.crt", fakegateway.NewCA(t, "other").Bundle(t).PEM())
	broken := ca("broken.crt", []byte("no certificate"))
	for _, endpoint := range []string{l.gateway.PairingEndpoint, l.gateway.NodeEndpoint} {
		l.expect(0, "it verifies with the CA bundle of this machine", "doctor", "--gateway-only", "--pairing", endpoint, "--gateway-ca", own)
		l.expect(23, "not the gateway", "doctor", "--gateway-only", "--pairing", endpoint, "--gateway-ca", other)
	}
	l.expect(23, "ask whether the gateway runs", "doctor", "--gateway-only", "--pairing", "127.0.0.1:1", "--gateway-ca", own)
	l.expect(2, "give the file server-ca.crt", "doctor", "--gateway-only", "--pairing", l.gateway.PairingEndpoint, "--gateway-ca", broken)
	l.expect(2, "needs --pairing", "doctor", "--gateway-only", "--gateway-ca", own)
	l.expect(2, "--gateway-ca FILE", "doctor", "--gateway-only", "--pairing", l.gateway.PairingEndpoint)
	// The pairing settings do not stop doctor from examining the machine.
	l.env = append(l.env, "HOME="+l.home, "MOORING_GATEWAY_CA="+own)
	l.expect(23, "does not exist", "doctor", "--pairing", l.gateway.PairingEndpoint)
}
