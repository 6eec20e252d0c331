package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/url"
	"slices"
	"testing"
	"time"
)

func TestPeerWithAProperCertificateIsKnown(t *testing.T) {
	ca, key := newAuthority(t), newKey(t)
	for name, c := range map[string]struct {
		begins time.Duration
		now    time.Time
	}{
		"in the middle of its life":     {-12 * time.Hour, now},
		"at its first moment":           {0, now},
		"5 min before its first moment": {5 * time.Minute, now},
		"at the end of the leeway":      {NotBeforeLeeway, now},
		"at its last moment":            {0, now.Add(24 * time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			chain := ca.device(t, key.Public(), validFrom(c.begins))
			peer, err := VerifyPeer(chain, ca.pool(), node.TrustDomain, c.now)
			if err != nil {
				t.Fatal(err)
			}
			if peer.ID != node || peer.PublicKeySHA256 != fingerprintOf(t, key.Public()) || peer.Certificate != chain[0] {
				t.Errorf("got %+v", peer)
			}
		})
	}
}

func TestPeerUnderAnIntermediateIsKnown(t *testing.T) {
	root := newAuthority(t)
	middle := authority{key: newKey(t)}
	middle.cert = sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "device-ca-2"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, root.cert, middle.key.Public(), root.key)
	chain := append(middle.device(t, newKey(t).Public()), middle.cert)
	if _, err := VerifyPeer(chain, root.pool(), node.TrustDomain, now); err != nil {
		t.Error(err)
	}
	_, err := VerifyPeer(chain[:1], root.pool(), node.TrustDomain, now)
	wantCertificateError(t, err, ReasonUntrusted)
}

func TestCAThatBeganJustNowIsTrustedInsideTheLeeway(t *testing.T) {
	ca := newAuthority(t, validFrom(5*time.Minute))
	chain := ca.device(t, newKey(t).Public(), func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = now.Add(6*time.Minute), now.Add(time.Hour)
	})
	if _, err := VerifyPeer(chain, ca.pool(), node.TrustDomain, now); err != nil {
		t.Error(err)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	ca, impostor := newAuthority(t), newAuthority(t)
	pub := newKey(t).Public()
	uri := uriName(node.URI())
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	uris := func(all ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.URIs = nil
			for _, u := range all {
				c.URIs = append(c.URIs, mustURL(t, u))
			}
		}
	}
	selfSigned := &x509.Certificate{
		SerialNumber: big.NewInt(9), NotBefore: now, NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, URIs: []*url.URL{mustURL(t, node.URI())},
	}
	for name, c := range map[string]struct {
		chain  []*x509.Certificate
		reason string
	}{
		"no certificate":               {nil, ReasonNoCertificate},
		"other CA, same subject":       {impostor.device(t, pub), ReasonUntrusted},
		"other CA, sent along":         {append(impostor.device(t, pub), impostor.cert), ReasonUntrusted},
		"other CA, ours sent along":    {append(impostor.device(t, pub), ca.cert), ReasonUntrusted},
		"self-signed":                  {[]*x509.Certificate{sign(t, selfSigned, selfSigned, p384.Public(), p384)}, ReasonUntrusted},
		"under another machine's leaf": {leafSignedByLeaf(t, ca), ReasonUntrusted},
		"the CA itself":                {[]*x509.Certificate{ca.cert}, ReasonWrongUsage},
		"expired":                      {ca.device(t, pub, validFrom(-25*time.Hour)), ReasonExpired},
		"expired a second ago":         {ca.device(t, pub, validFrom(-24*time.Hour-time.Second)), ReasonExpired},
		"begins in 15 min":             {ca.device(t, pub, validFrom(15*time.Minute)), ReasonNotYetValid},
		"begins a second too late":     {ca.device(t, pub, validFrom(NotBeforeLeeway+time.Second)), ReasonNotYetValid},
		"serverAuth only":              {ca.device(t, pub, withUsages(x509.ExtKeyUsageServerAuth)), ReasonWrongUsage},
		"serverAuth too":               {ca.device(t, pub, withUsages(x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth)), ReasonWrongUsage},
		"any usage":                    {ca.device(t, pub, withUsages(x509.ExtKeyUsageAny)), ReasonWrongUsage},
		"no extended key usage":        {ca.device(t, pub, withUsages()), ReasonWrongUsage},
		"an unknown usage too":         {ca.device(t, pub, func(c *x509.Certificate) { c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, oidSubjectAltName) }), ReasonWrongUsage},
		"the CA bit":                   {ca.device(t, pub, func(c *x509.Certificate) { c.IsCA = true }), ReasonWrongUsage},
		"key usage certSign":           {ca.device(t, pub, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }), ReasonWrongUsage},
		"no name":                      {ca.device(t, pub, uris()), ReasonUnexpectedName},
		"a common name alone":          {ca.device(t, pub, uris(), func(c *x509.Certificate) { c.Subject.CommonName = "press-7" }), ReasonUnexpectedName},
		"two URIs":                     {ca.device(t, pub, uris(node.URI(), "spiffe://mooring.example/ns/fleet-a/node/other")), ReasonUnexpectedName},
		"a DNS name beside the URI":    {ca.device(t, pub, func(c *x509.Certificate) { c.DNSNames = []string{"press-7"} }), ReasonUnexpectedName},
		"a DNS name alone":             {ca.device(t, pub, uris(), func(c *x509.Certificate) { c.DNSNames = []string{"press-7"} }), ReasonUnexpectedName},
		"otherName beside the URI":     {ca.device(t, pub, withRawSAN(uri, tlv(0xa0, tlv(tagOID, []byte{0x2a, 3}), tlv(0xa0, tlv(tagUTF8, []byte("x")))))), ReasonUnexpectedName},
		"dirName beside the URI":       {ca.device(t, pub, withRawSAN(uri, tlv(0xa4, commonName("x")))), ReasonUnexpectedName},
		"registeredID beside the URI":  {ca.device(t, pub, withRawSAN(uri, tlv(0x88, []byte{0x2a, 3}))), ReasonUnexpectedName},
		"a URI that is no id":          {ca.device(t, pub, uris("https://mooring.example/ns/fleet-a/node/press-7")), ReasonWrongIdentity},
		"an escaped id":                {ca.device(t, pub, withRawSAN(uriName("spiffe://mooring.example/ns/fleet-a/node/%70ress-7"))), ReasonWrongIdentity},
		"a foreign trust domain":       {ca.device(t, pub, uris("spiffe://evil.example/ns/fleet-a/node/press-7")), ReasonForeignTrustDomain},
		"a trust domain below ours":    {ca.device(t, pub, uris("spiffe://sub.mooring.example/ns/fleet-a/node/press-7")), ReasonForeignTrustDomain},
		"a key on P-384":               {ca.device(t, p384.Public()), ReasonUnsupportedKey},
		"an RSA key":                   {ca.device(t, rsaKey.Public()), ReasonUnsupportedKey},
		"an endless chain":             {append(ca.device(t, pub), slices.Repeat([]*x509.Certificate{ca.cert}, 8)...), ReasonMalformedChain},
	} {
		t.Run(name, func(t *testing.T) {
			peer, err := VerifyPeer(c.chain, ca.pool(), node.TrustDomain, now)
			wantCertificateError(t, err, c.reason)
			if peer != (Peer{}) {
				t.Errorf("got %+v together with the error", peer)
			}
		})
	}
}

// leafSignedByLeaf returns a chain in which the certificate of a machine signs another one.
func leafSignedByLeaf(t *testing.T, ca authority) []*x509.Certificate {
	t.Helper()
	machine := authority{key: newKey(t)}
	machine.cert = ca.device(t, machine.key.Public())[0]
	return append(machine.device(t, newKey(t).Public()), machine.cert)
}

func TestNobodyIsTrustedWithoutABundle(t *testing.T) {
	ca := newAuthority(t)
	chain := ca.device(t, newKey(t).Public())
	var unknown x509.UnknownAuthorityError
	_, err := VerifyPeer(chain, nil, node.TrustDomain, now)
	wantCertificateError(t, err, ReasonUntrusted)
	if errors.As(err, &unknown) {
		t.Error("without a bundle the roots of the operating system were asked")
	}
	_, err = VerifyPeer(chain, Bundle{}.Pool(), node.TrustDomain, now)
	wantCertificateError(t, err, ReasonUntrusted)
	if !errors.As(err, &unknown) {
		t.Errorf("%v does not lead to the verifier's error", err)
	}
}

func TestLapsedPeerIsKnownForThirtyDays(t *testing.T) {
	ca, key := newAuthority(t), newKey(t)
	chain := ca.device(t, key.Public())
	end := chain[0].NotAfter
	for name, c := range map[string]struct {
		chain  []*x509.Certificate
		now    time.Time
		reason string
	}{
		"still valid":            {chain, now, ""},
		"10 days on":             {chain, end.Add(10 * 24 * time.Hour), ""},
		"at the end of grace":    {chain, end.Add(RecoveryGrace), ""},
		"a second after it":      {chain, end.Add(RecoveryGrace + time.Second), ReasonRecoveryTooLate},
		"31 days on":             {chain, end.Add(31 * 24 * time.Hour), ReasonRecoveryTooLate},
		"no certificate":         {nil, now, ReasonNoCertificate},
		"not valid yet":          {chain, now.Add(-time.Hour), ReasonNotYetValid},
		"another CA, 10 days on": {newAuthority(t).device(t, key.Public()), end.Add(10 * 24 * time.Hour), ReasonUntrusted},
	} {
		t.Run(name, func(t *testing.T) {
			peer, err := VerifyExpiredPeer(c.chain, ca.pool(), node.TrustDomain, c.now)
			if c.reason != "" {
				wantCertificateError(t, err, c.reason)
				return
			}
			if err != nil || peer.ID != node {
				t.Errorf("got %+v, %v", peer, err)
			}
		})
	}
}

func TestChainsThatAreNoneAreRefused(t *testing.T) {
	ca := newAuthority(t)
	leaf := ca.device(t, newKey(t).Public())[0].Raw
	chain, err := ParseChain([][]byte{leaf, ca.cert.Raw})
	if err != nil || len(chain) != 2 || FingerprintCertificate(chain[1]) != FingerprintCertificate(ca.cert) {
		t.Fatalf("a proper chain: %v, %v", chain, err)
	}
	for name, c := range map[string]struct {
		ders   [][]byte
		reason string
	}{
		"nothing":                {nil, ReasonNoCertificate},
		"an empty certificate":   {[][]byte{{}}, ReasonMalformedChain},
		"PEM":                    {[][]byte{ca.pem()}, ReasonMalformedChain},
		"a trailing byte":        {[][]byte{append(slices.Clone(leaf), 0)}, ReasonMalformedChain},
		"two in one":             {[][]byte{slices.Concat(leaf, ca.cert.Raw)}, ReasonMalformedChain},
		"rubbish behind a leaf":  {[][]byte{leaf, []byte("x")}, ReasonMalformedChain},
		"nine of them":           {slices.Repeat([][]byte{leaf}, 9), ReasonMalformedChain},
		"a very long one":        {[][]byte{make([]byte, 1<<20)}, ReasonMalformedChain},
		"two subjectAltNames":    {[][]byte{addSecondSAN(t, leaf)}, ReasonMalformedChain},
		"cut short in its names": {[][]byte{leaf[:len(leaf)/2]}, ReasonMalformedChain},
	} {
		t.Run(name, func(t *testing.T) {
			chain, err := ParseChain(c.ders)
			wantCertificateError(t, err, c.reason)
			if chain != nil {
				t.Errorf("got %v together with the error", chain)
			}
		})
	}
}

// addSecondSAN inserts a second subjectAltName into a certificate's DER by renaming its
// basicConstraints; the parser must reject it before any signature is checked.
func addSecondSAN(t *testing.T, der []byte) []byte {
	t.Helper()
	out := slices.Clone(der)
	for i := range len(out) - len(derBasicConstraints) {
		if slices.Equal(out[i:i+len(derBasicConstraints)], derBasicConstraints) {
			copy(out[i:], derSubjectAltName)
			return out
		}
	}
	t.Fatal("the certificate has no basicConstraints to rename")
	return nil
}

func FuzzPeerChain(f *testing.F) {
	ca, impostor := newAuthorityWithKey(f, fixedKey(f, 1)), newAuthorityWithKey(f, fixedKey(f, 2))
	pool, theirs := ca.pool(), impostor.pool()
	key := fixedKey(f, 3)
	f.Add(ca.device(f, key.Public())[0].Raw, ca.cert.Raw)
	f.Add(impostor.device(f, key.Public())[0].Raw, impostor.cert.Raw)
	f.Add(ca.device(f, key.Public(), withRawSAN(uriName(node.URI()), tlv(0x88, []byte{0x2a})))[0].Raw, []byte{})
	f.Add(ca.server(f)[0].Raw, ca.cert.Raw)
	f.Add([]byte{}, []byte{0x30})
	f.Fuzz(func(t *testing.T, leaf, second []byte) {
		chain, err := ParseChain([][]byte{leaf, second})
		if err != nil {
			wantTypedError(t, err)
			return
		}
		for _, roots := range []*x509.CertPool{pool, theirs} {
			peer, err := VerifyPeer(chain, roots, node.TrustDomain, now)
			if err != nil {
				wantTypedError(t, err)
			} else if peer.ID.Validate() != nil || peer.ID.TrustDomain != node.TrustDomain || len(chain[0].DNSNames) > 0 {
				t.Fatalf("admitted %+v", peer)
			}
			if err := VerifyServer(chain, roots, now, NotBeforeLeeway); err != nil {
				wantTypedError(t, err)
			}
		}
	})
}
