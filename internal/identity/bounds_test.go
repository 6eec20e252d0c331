package identity

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each bound holds exactly: the largest value that may be, and one more.

func TestABundleAsLargeAsMayBeIsRead(t *testing.T) {
	ca := newAuthority(t).pem()
	for more, ok := range map[int]bool{0: true, 1: false} {
		text := slices.Concat(ca, bytes.Repeat([]byte("\n"), MaxBundleBytes-len(ca)+more))
		if _, err := ParseBundle(text); (err == nil) != ok {
			t.Errorf("%d bytes more than may be: %v", more, err)
		}
	}
	var full []byte
	for range maxBundleCAs {
		full = append(full, newAuthority(t).pem()...)
	}
	if bundle, err := ParseBundle(full); err != nil || len(bundle.Certificates()) != maxBundleCAs {
		t.Errorf("%d CAs: %v", maxBundleCAs, err)
	}
}

func TestABundleWithoutACAAsksForTheFixedName(t *testing.T) {
	if got := (Bundle{}).ServerName(); got != ServerName {
		t.Errorf("got %s, want %s", got, ServerName)
	}
	ca := newAuthority(t)
	if got, want := parseBundle(t, ca.pem()).ServerName(), ServerNameUnder(FingerprintSPKIDER(ca.cert.RawSubjectPublicKeyInfo)); got != want || got == ServerName {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAChainAsLongAsMayBeIsRead(t *testing.T) {
	ca := newAuthority(t)
	leaf := ca.device(t, newKey(t).Public())
	for length, ok := range map[int]bool{maxChainLength: true, maxChainLength + 1: false} {
		if _, err := ParseChain(slices.Repeat([][]byte{leaf[0].Raw}, length)); (err == nil) != ok {
			t.Errorf("%d certificates: %v", length, err)
		}
		chain := slices.Repeat(leaf, length)
		if _, err := verifyChain(chain, ca.pool(), x509.ExtKeyUsageClientAuth, now.Add(time.Minute), 0); (err == nil) != ok {
			t.Errorf("%d certificates: %v", length, err)
		}
	}
	for more, want := range map[int]string{0: "cannot be parsed", 1: "longer than"} {
		_, err := ParseChain([][]byte{make([]byte, maxCertificateBytes+more)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes more than a certificate may have: %v, want %q", more, err, want)
		}
	}
}

func TestAWrongUsageNamesTheRightOne(t *testing.T) {
	ca := newAuthority(t)
	leaf := ca.device(t, newKey(t).Public(), usages(x509.ExtKeyUsageCodeSigning))[0]
	for usage, want := range map[x509.ExtKeyUsage]string{x509.ExtKeyUsageServerAuth: "serverAuth", x509.ExtKeyUsageClientAuth: "clientAuth"} {
		if err := checkUsage(leaf, usage); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestASpanIsInDaysFromTwoOn(t *testing.T) {
	for d, want := range map[time.Duration]string{
		47*time.Hour + 59*time.Minute: "47h59m0s", 48 * time.Hour: "2 days", 73 * time.Hour: "3 days", 90 * time.Second: "2m0s",
	} {
		if got := span(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

func TestEveryEndOfTheAlphabetMayBeInALabel(t *testing.T) {
	for _, label := range []string{"az", "09", "a-z", strings.Repeat("a", maxLabelLength)} {
		if !isLabel(label) {
			t.Errorf("%q is refused", label)
		}
	}
	for _, label := range []string{"", "a`", "a{", "a/", "a:", "-a", "a-", strings.Repeat("a", maxLabelLength+1)} {
		if isLabel(label) {
			t.Errorf("%q is taken", label)
		}
	}
	domain := strings.Repeat("a.", maxTrustDomainLength/2) + "a"
	longest := ID{TrustDomain: domain, Namespace: strings.Repeat("n", maxLabelLength), Node: strings.Repeat("m", maxLabelLength)}
	if got, err := ParseID(longest.URI()); err != nil || got != longest || len(longest.URI()) != maxIDLength {
		t.Errorf("the longest identity has %d bytes of %d: %v", len(longest.URI()), maxIDLength, err)
	}
}
