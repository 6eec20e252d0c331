package identity

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The tests of this file check every bound with the largest allowed value and with one more.

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
	if got, want := parseBundle(t, ca.pem()).ServerName(), ServerNameForCA(FingerprintSPKIDER(ca.cert.RawSubjectPublicKeyInfo)); got != want || got == ServerName {
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
	leaf := ca.device(t, newKey(t).Public(), withUsages(x509.ExtKeyUsageCodeSigning))[0]
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
		if got := formatDuration(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

func TestEveryEndOfTheAlphabetMayBeInALabel(t *testing.T) {
	for _, label := range []string{"az", "09", "a-z", strings.Repeat("a", maxLabelLength)} {
		if !IsLabel(label) {
			t.Errorf("%q is refused", label)
		}
	}
	for _, label := range []string{"", "a`", "a{", "a/", "a:", "-a", "a-", strings.Repeat("a", maxLabelLength+1)} {
		if IsLabel(label) {
			t.Errorf("%q is taken", label)
		}
	}
	domain := strings.Repeat("a.", maxTrustDomainLength/2) + "a"
	longest := ID{TrustDomain: domain, Namespace: strings.Repeat("n", maxLabelLength), Node: strings.Repeat("m", maxLabelLength)}
	if got, err := ParseID(longest.URI()); err != nil || got != longest || len(longest.URI()) != maxIDLength {
		t.Errorf("the longest identity has %d bytes of %d: %v", len(longest.URI()), maxIDLength, err)
	}
}

func TestAMessageRepeatsAShortNameWhole(t *testing.T) {
	for length, want := range map[int]int{80: 80, 81: 79 + len("…")} {
		if got := truncate(strings.Repeat("a", length)); len(got) != want {
			t.Errorf("%d characters become %d", length, len(got))
		}
	}
}

func TestInputOfTheLargestSizeIsLookedAt(t *testing.T) {
	for name, read := range map[string]struct {
		bound int
		read  func([]byte) error
	}{
		"public key in DER": {maxPublicKeyBytes, func(b []byte) error { _, err := ParsePublicKeyDER(b); return err }},
		"public key in PEM": {maxPublicKeyBytes, func(b []byte) error { _, err := ParsePublicKeyPEM(b); return err }},
		"request":           {MaxCSRBytes, func(b []byte) error { return ValidateCSR(b, node, "") }},
	} {
		for more, tooLarge := range map[int]bool{0: false, 1: true} {
			err := read.read(make([]byte, read.bound+more))
			if err == nil || (strings.Contains(err.Error(), "longer than") || strings.Contains(err.Error(), "at most")) != tooLarge {
				t.Errorf("%s, %d bytes more than may be: %v", name, more, err)
			}
		}
	}
}

func TestTheShortestFingerprintThatSelectsAChain(t *testing.T) {
	for fingerprint, want := range map[string]string{"1234567": ServerName, "12345678": "12345678." + ServerName, "123456789": "12345678." + ServerName} {
		if got := ServerNameForCA(fingerprint); got != want {
			t.Errorf("%s: %s, want %s", fingerprint, got, want)
		}
	}
}

func TestAPinnedChainAsLongAsMayBeIsTaken(t *testing.T) {
	ca := newAuthority(t)
	chain := slices.Concat(ca.server(t), slices.Repeat([]*x509.Certificate{ca.cert}, maxChainLength-1))
	if err := VerifyPinnedServer(chain, fingerprintOf(t, ca.cert.PublicKey), now, NotBeforeLeeway); err != nil {
		t.Error(err)
	}
}

// Tags of other classes may have the numbers of general names, but are not general names.
func TestATagIsNamedOnlyInItsClass(t *testing.T) {
	for tag, want := range map[uint8]string{0x86: generalNames[tagURI], 0x80: generalNames[0], 0x06: "name of unknown kind 0x6", 0x42: "name of unknown kind 0x42", 0x89: "name of unknown kind 0x89"} {
		if got := generalNameType(cbasn1.Tag(tag)); got != want {
			t.Errorf("%#x is %q, want %q", tag, got, want)
		}
	}
}

// The digest must equal the one of other implementations: an absent request is an empty field.
func TestTheDigestOfAProofIsTheDocumentedOne(t *testing.T) {
	p := Proof{Method: ProofPairingStatus, Request: "fleet-a/press-7", Exporter: bytes.Repeat([]byte{7}, proofExporterLength)}
	for _, csr := range [][]byte{nil, []byte("request")} {
		p.CSR = csr
		var message []byte
		field := func(part []byte) {
			message = append(binary.LittleEndian.AppendUint64(message, uint64(len(part))), part...)
		}
		field([]byte(proofDomain))
		field([]byte(p.Method))
		field([]byte(p.Request))
		field(p.Exporter)
		field(nil)
		if csr == nil {
			field(nil)
		} else {
			sum := sha256.Sum256(csr)
			field(sum[:])
		}
		want := sha256.Sum256(message)
		if got, err := p.digest(); err != nil || !bytes.Equal(got, want[:]) {
			t.Errorf("request %q: %x, %v, want %x", csr, got, err, want)
		}
	}
}
