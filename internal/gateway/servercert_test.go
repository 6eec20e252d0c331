package gateway

import (
	"bytes"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	clocktesting "k8s.io/utils/clock/testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
)

func TestARenewedCertificateIsServedWithoutARestart(t *testing.T) {
	r := startGateway(t)
	client := r.nodeClient(t, r.deviceCA.IssueDeviceTLS(t, robot))
	if _, err := client.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
		t.Fatal(err)
	}
	renewed := r.serverCA.WriteServerCertificate(t, r.dir)
	soon.True(t, "a new connection sees the new certificate", func() bool {
		conn, err := dialTLS(t, r.pairingAddress(), r.clientTLS())
		return err == nil && conn.ConnectionState().PeerCertificates[0].SerialNumber.Cmp(renewed.SerialNumber) == 0
	})
	if _, err := client.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
		t.Errorf("the connection opened before the renewal failed: %v", err)
	}
}

// certificateStore is a serverCertificate with a fake clock.
type certificateStore struct {
	*serverCertificate
	clock *clocktesting.FakePassiveClock
	ca    *identitytest.Authority
	dir   string
}

func newStore(t *testing.T) *certificateStore {
	t.Helper()
	s := &certificateStore{
		clock: clocktesting.NewFakePassiveClock(time.Now()), ca: identitytest.NewAuthority(t, "server-ca"), dir: t.TempDir(),
	}
	trust := NewTrust(logr.Discard())
	trust.Update(trustConfig(s.ca.PEM(), identitytest.NewAuthority(t, "device-ca").PEM()))
	s.serverCertificate = newServerCertificate(s.dir, trust, s.clock, logr.Discard())
	return s
}

// serial returns the serial number of the certificate in use.
func (s *certificateStore) serial(t *testing.T) string {
	t.Helper()
	got, err := s.get(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Leaf.SerialNumber.String()
}

func TestAFreshCertificateWaitsUntilSlowClocksBelieveInIt(t *testing.T) {
	s := newStore(t)
	old := s.ca.WriteServerCertificate(t, s.dir)
	s.refresh()
	fresh := s.ca.WriteServerCertificate(t, s.dir, identitytest.ValidFrom(0))
	s.refresh()
	if got := s.serial(t); got != old.SerialNumber.String() {
		t.Fatal("a certificate that just began replaced a good one")
	}
	if err := s.check(); err != nil {
		t.Errorf("not ready meanwhile: %v", err)
	}
	s.clock.SetTime(fresh.NotBefore.Add(minCertificateAge))
	s.refresh()
	if got := s.serial(t); got != fresh.SerialNumber.String() {
		t.Error("the new certificate is not used once it is ten minutes old")
	}
}

func TestAFreshCertificateOfANewCAIsUsedAtOnce(t *testing.T) {
	s := newStore(t)
	s.ca.WriteServerCertificate(t, s.dir)
	s.refresh()
	next := identitytest.NewAuthority(t, "server-ca")
	s.trust.Update(trustConfig(next.PEM(), next.PEM()))
	fresh := next.WriteServerCertificate(t, s.dir, identitytest.ValidFrom(0))
	s.refresh()
	if got := s.serial(t); got != fresh.SerialNumber.String() {
		t.Error("a certificate that no machine trusts any more is kept")
	}
}

func TestUnusableFilesLeaveTheOldCertificateAndSayWhy(t *testing.T) {
	for _, test := range []struct {
		name string
		put  func(t *testing.T, s *certificateStore)
		says string
	}{
		{"no files", func(*testing.T, *certificateStore) {}, "holds no tls.crt and tls.key yet"},
		{"a key of another certificate", func(t *testing.T, s *certificateStore) {
			s.ca.WriteServerCertificate(t, s.dir)
			key := mustRead(t, filepath.Join(s.dir, "current", "tls.key"))
			s.ca.WriteServerCertificate(t, s.dir)
			identitytest.SwapTLSDir(t, s.dir, mustRead(t, filepath.Join(s.dir, "current", "tls.crt")), key)
		}, "private key does not match"},
		{"a certificate of an unknown CA", func(t *testing.T, s *certificateStore) {
			identitytest.NewAuthority(t, "server-ca").WriteServerCertificate(t, s.dir)
		}, "machines would refuse it"},
		{"a file that is too large", func(t *testing.T, s *certificateStore) {
			identitytest.SwapTLSDir(t, s.dir, bytes.Repeat([]byte("x"), maxFileBytes+1), nil)
		}, "larger than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t)
			test.put(t, s)
			s.refresh()
			if err := s.check(); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("check() = %v, want %q", err, test.says)
			}
			good := s.ca.WriteServerCertificate(t, s.dir)
			s.refresh()
			if got := s.serial(t); got != good.SerialNumber.String() {
				t.Error("a good certificate was not loaded afterwards")
			}
			test.put(t, s)
			s.refresh()
			if err := s.check(); err != nil {
				t.Errorf("with a good certificate in use check() = %v", err)
			}
		})
	}
}

func TestAnExpiredServerCertificateIsNotReady(t *testing.T) {
	s := newStore(t)
	cert := s.ca.WriteServerCertificate(t, s.dir)
	s.refresh()
	s.clock.SetTime(cert.NotAfter)
	s.refresh()
	if err := s.check(); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("check() = %v, want expired", err)
	}
}

func TestFilesDirectlyInTheFolderAreRead(t *testing.T) {
	s := newStore(t)
	cert := s.ca.WriteServerCertificate(t, s.dir)
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Rename(filepath.Join(s.dir, "current", name), filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(s.dir, "current")); err != nil {
		t.Fatal(err)
	}
	s.refresh()
	if got := s.serial(t); got != cert.SerialNumber.String() {
		t.Error("the files were not read")
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
