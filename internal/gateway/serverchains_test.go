package gateway

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
)

func TestTheCAThatAMachineAsksForSelectsTheChain(t *testing.T) {
	old, next := identitytest.NewAuthority(t, "old"), identitytest.NewAuthority(t, "next")
	device := identitytest.NewAuthority(t, "device-ca").PEM()
	trust := NewTrust(logr.Discard())
	union := next.PEM() + old.PEM()
	trust.Update(trustConfig(union, device))
	dir := t.TempDir()
	chains := newServerChains(dir, trust, clocktesting.NewFakePassiveClock(time.Now()), logr.Discard())
	current := next.WriteServerCertificate(t, dir)
	nameOf := func(ca *identitytest.Authority) string {
		return identity.ServerNameForCA(identity.FingerprintSPKIDER(ca.Certificate.RawSubjectPublicKeyInfo))
	}
	check := func(title, name, want string) {
		t.Helper()
		chains.refresh()
		chains.previous.refresh()
		got, err := chains.get(&tls.ClientHelloInfo{ServerName: name})
		if err != nil || got.Leaf.SerialNumber.String() != want {
			t.Errorf("%s: %v, or the wrong certificate", title, err)
		}
	}
	check("before there is a second chain", nameOf(old), current.SerialNumber.String())
	if err := chains.check(); err != nil {
		t.Errorf("not ready without a second chain: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, previousFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	previous := old.WriteServerCertificate(t, filepath.Join(dir, previousFolder))
	check("the CA before", nameOf(old), previous.SerialNumber.String())
	check("the CA in use", nameOf(next), current.SerialNumber.String())
	check("none", identity.ServerName, current.SerialNumber.String())
	check("one that is unknown", "00000000."+identity.ServerName, current.SerialNumber.String())
	trust.Update(trustConfig(next.PEM(), device))
	check("the CA before, once it is dropped", nameOf(old), current.SerialNumber.String())
}
