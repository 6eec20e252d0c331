package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func fixedNow() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func authority(t *testing.T) *Authority {
	t.Helper()
	a, err := LoadOrCreate(t.TempDir(), "ca", fixedNow)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func parseLeaf(t *testing.T, pair Pair) *x509.Certificate {
	t.Helper()
	pairTLS, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM) // the key belongs to the certificate
	if err != nil {
		t.Fatal(err)
	}
	return pairTLS.Leaf
}

func TestAnAuthorityIsMadeOnceAndThenRead(t *testing.T) {
	dir := t.TempDir()
	first, err := LoadOrCreate(dir, "ca", fixedNow)
	if err != nil {
		t.Fatal(err)
	}
	second, err := LoadOrCreate(dir, "ca", fixedNow)
	if err != nil {
		t.Fatal(err)
	}
	if !first.Cert.Equal(second.Cert) {
		t.Error("the second start made another authority: every certificate given out is void")
	}
	info, err := os.Stat(filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the key is %o, want 600", info.Mode().Perm())
	}
}

func TestABrokenAuthorityIsExplained(t *testing.T) {
	later := func() time.Time { return fixedNow().Add(AuthorityLifetime + time.Hour) }
	cases := map[string]struct {
		breakIt func(t *testing.T, dir string)
		now     func() time.Time
		want    string
	}{
		"key missing":     {func(t *testing.T, dir string) { remove(t, dir, "ca.key") }, fixedNow, "incomplete"},
		"expired":         {func(*testing.T, string) {}, later, "expired"},
		"key of another":  {foreignKey, fixedNow, "does not belong"},
		"garbage for key": {func(t *testing.T, dir string) { overwrite(t, dir, "ca.key", []byte("x")) }, fixedNow, "no PEM block"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := LoadOrCreate(dir, "ca", fixedNow); err != nil {
				t.Fatal(err)
			}
			c.breakIt(t, dir)
			_, err := LoadOrCreate(dir, "ca", c.now)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that contains %q", err, c.want)
			}
		})
	}
}

func foreignKey(t *testing.T, dir string) {
	other := t.TempDir()
	if _, err := LoadOrCreate(other, "ca", fixedNow); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(other, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, dir, "ca.key", data)
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAClientCertificateCarriesUserAndGroupsAndServesNothing(t *testing.T) {
	a := authority(t)
	pair, err := a.Issue(Leaf{CommonName: "alice", Organizations: []string{"approvers", "devs"}})
	if err != nil {
		t.Fatal(err)
	}
	cert := parseLeaf(t, pair)
	groups := slices.Sorted(slices.Values(cert.Subject.Organization)) // a SET OF: DER has its own order
	if diff := cmp.Diff([]string{"approvers", "devs"}, groups); diff != "" || cert.Subject.CommonName != "alice" {
		t.Errorf("subject %s, groups differ: %s", cert.Subject, diff)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.Cert)
	options := x509.VerifyOptions{Roots: roots, CurrentTime: fixedNow(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := cert.Verify(options); err != nil {
		t.Errorf("as client: %v", err)
	}
	options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if _, err := cert.Verify(options); err == nil {
		t.Error("a client's certificate is accepted for a server")
	}
}

func TestAServerCertificateNamesHostsAndAddresses(t *testing.T) {
	pair, err := authority(t).Issue(Leaf{CommonName: "kube-apiserver", Hosts: []string{"localhost", "127.0.0.1", "10.96.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	cert := parseLeaf(t, pair)
	for _, host := range []string{"localhost", "127.0.0.1", "10.96.0.1"} {
		if err := cert.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if len(cert.IPAddresses) != 2 || !cert.IPAddresses[0].Equal(net.IPv4(127, 0, 0, 1)) {
		t.Errorf("addresses %v are not IP names", cert.IPAddresses)
	}
}

func TestACertificateNeedsAName(t *testing.T) {
	if _, err := authority(t).Issue(Leaf{}); err == nil {
		t.Error("an empty common name was signed")
	}
}

func TestALeafNeverOutlivesItsAuthority(t *testing.T) {
	dir := t.TempDir()
	if _, err := LoadOrCreate(dir, "ca", fixedNow); err != nil {
		t.Fatal(err)
	}
	late, err := LoadOrCreate(dir, "ca", func() time.Time { return fixedNow().Add(AuthorityLifetime - time.Hour) })
	if err != nil {
		t.Fatal(err)
	}
	pair, err := late.Issue(Leaf{CommonName: "late"})
	if err != nil {
		t.Fatal(err)
	}
	if cert := parseLeaf(t, pair); cert.NotAfter.After(late.Cert.NotAfter) {
		t.Errorf("leaf ends %s, authority %s", cert.NotAfter, late.Cert.NotAfter)
	}
}

func TestTheTokenKeyOutlivesRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sa.key")
	if err := EnsureSigningKey(path); err != nil {
		t.Fatal(err)
	}
	first, _ := os.ReadFile(path)
	if err := EnsureSigningKey(path); err != nil {
		t.Fatal(err)
	}
	if second, _ := os.ReadFile(path); !cmp.Equal(first, second) {
		t.Error("the second start made another key: every token is void")
	}
}
