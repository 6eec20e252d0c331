package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestRequestOfAnHonestMachineIsAccepted(t *testing.T) {
	key := newKey(t)
	longest := ID{
		TrustDomain: strings.Repeat(strings.Repeat("t", 63)+".", 3) + strings.Repeat("t", 63),
		Namespace:   strings.Repeat("n", 63), Node: strings.Repeat("m", 63),
	}
	for name, id := range map[string]ID{"common": node, "longest names": longest} {
		t.Run(name, func(t *testing.T) {
			der, err := NewCSR(key, id)
			if err != nil {
				t.Fatal(err)
			}
			if err := ValidateCSR(der, id, fingerprintOf(t, key.Public())); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestForgeryWithNothingForgedIsAccepted(t *testing.T) {
	// Without this test all refusals below could be errors of the forgery itself.
	key := newKey(t)
	if err := ValidateCSR(validRequest(t, key).der(t), node, fingerprintOf(t, key.Public())); err != nil {
		t.Error(err)
	}
	critical := validRequest(t, key)
	critical.attributes = tlv(0xa0, extensionRequest(
		tlv(tagSequence, derSubjectAltName, derCritical, tlv(tagOctets, tlv(tagSequence, uriName(node.URI()))))))
	if err := ValidateCSR(critical.der(t), node, fingerprintOf(t, key.Public())); err != nil {
		t.Errorf("a critical subjectAltName: %v", err)
	}
}

func TestRequestsForMoreNamesAreRefused(t *testing.T) {
	uri := uriName(node.URI())
	other := ID{TrustDomain: node.TrustDomain, Namespace: node.Namespace, Node: "press-8"}
	otherName := tlv(0xa0, tlv(tagOID, []byte{0x2a, 0x03}), tlv(0xa0, tlv(tagUTF8, []byte("admin"))))
	directoryName := tlv(0xa4, commonName("admin"))
	for name, c := range map[string]struct {
		names  [][]byte
		reason string
	}{
		"no name":                    {nil, ReasonUnexpectedName},
		"otherName":                  {[][]byte{otherName}, ReasonUnexpectedName},
		"otherName beside the URI":   {[][]byte{uri, otherName}, ReasonUnexpectedName},
		"otherName before the URI":   {[][]byte{otherName, uri}, ReasonUnexpectedName},
		"dirName beside the URI":     {[][]byte{uri, directoryName}, ReasonUnexpectedName},
		"registeredID beside it":     {[][]byte{uri, tlv(0x88, []byte{0x2a, 0x03})}, ReasonUnexpectedName},
		"a DNS name beside it":       {[][]byte{uri, tlv(0x82, []byte("gateway.mooring"))}, ReasonUnexpectedName},
		"a DNS name alone":           {[][]byte{tlv(0x82, []byte("gateway.mooring"))}, ReasonUnexpectedName},
		"an IP address beside it":    {[][]byte{uri, tlv(0x87, []byte{10, 0, 0, 1})}, ReasonUnexpectedName},
		"an e-mail address":          {[][]byte{uri, tlv(0x81, []byte("a@b.c"))}, ReasonUnexpectedName},
		"x400Address":                {[][]byte{uri, tlv(0xa3)}, ReasonUnexpectedName},
		"ediPartyName":               {[][]byte{uri, tlv(0xa5)}, ReasonUnexpectedName},
		"an unknown kind":            {[][]byte{uri, tlv(0x89, []byte("x"))}, ReasonUnexpectedName},
		"the URI twice":              {[][]byte{uri, uri}, ReasonUnexpectedName},
		"two URIs":                   {[][]byte{uri, uriName(other.URI())}, ReasonUnexpectedName},
		"two URIs, wanted one last":  {[][]byte{uriName(other.URI()), uri}, ReasonUnexpectedName},
		"a constructed URI":          {[][]byte{tlv(0xa6, []byte(node.URI()))}, ReasonUnexpectedName},
		"rubbish after the URI":      {[][]byte{uri, {0x86}}, ReasonUnexpectedName},
		"another node":               {[][]byte{uriName(other.URI())}, ReasonWrongIdentity},
		"the URI and a slash":        {[][]byte{uriName(node.URI() + "/")}, ReasonWrongIdentity},
		"the URI and a zero byte":    {[][]byte{uriName(node.URI() + "\x00")}, ReasonWrongIdentity},
		"the URI, escaped":           {[][]byte{uriName(strings.Replace(node.URI(), "press", "%70ress", 1))}, ReasonWrongIdentity},
		"the URI in upper case":      {[][]byte{uriName(strings.ToUpper(node.URI()))}, ReasonWrongIdentity},
		"an empty URI":               {[][]byte{uriName("")}, ReasonWrongIdentity},
		"the URI and a query":        {[][]byte{uriName(node.URI() + "?x")}, ReasonWrongIdentity},
		"another namespace":          {[][]byte{uriName("spiffe://mooring.example/ns/fleet-b/node/press-7")}, ReasonWrongIdentity},
		"another trust domain":       {[][]byte{uriName("spiffe://evil.example/ns/fleet-a/node/press-7")}, ReasonWrongIdentity},
		"a hundred names, 1 KiB":     {slices.Repeat([][]byte{uriName("a://b")}, 100), ReasonUnexpectedName},
		"so many names it is large":  {slices.Repeat([][]byte{uri}, 60), ReasonRequestTooLarge},
		"a name longer than the SAN": {[][]byte{{0x86, 0x7f, 'x'}}, ReasonUnexpectedName},
	} {
		t.Run(name, func(t *testing.T) {
			key := newKey(t)
			f := validRequest(t, key)
			f.attributes = tlv(0xa0, extensionRequest(san(c.names...)))
			wantRequestError(t, ValidateCSR(f.der(t), node, fingerprintOf(t, key.Public())), c.reason)
		})
	}
}

func TestRequestsForMoreThanANameAreRefused(t *testing.T) {
	good := san(uriName(node.URI()))
	isCA := tlv(tagSequence, derBasicConstraints, derCritical, tlv(tagOctets, tlv(tagSequence, derCritical)))
	certSign := tlv(tagSequence, derKeyUsage, tlv(tagOctets, tlv(tagBitString, []byte{2, 4})))
	challenge := tlv(tagSequence, derChallengePassword, tlv(tagSet, tlv(tagUTF8, []byte("secret"))))
	sanWith := func(parts ...[]byte) []byte { return extensionRequest(tlv(tagSequence, parts...)) }
	octets := tlv(tagOctets, tlv(tagSequence, uriName(node.URI())))
	for name, c := range map[string]struct {
		attributes []byte
		reason     string
	}{
		"no attributes field":       {nil, ReasonMalformedRequest},
		"no attribute":              {tlv(0xa0), ReasonUnexpectedAttribute},
		"another attribute":         {tlv(0xa0, challenge), ReasonUnexpectedAttribute},
		"one more attribute":        {tlv(0xa0, extensionRequest(good), challenge), ReasonUnexpectedAttribute},
		"one more, in front":        {tlv(0xa0, challenge, extensionRequest(good)), ReasonUnexpectedAttribute},
		"two extension requests":    {tlv(0xa0, extensionRequest(good), extensionRequest(isCA)), ReasonUnexpectedAttribute},
		"two lists in one request":  {tlv(0xa0, tlv(tagSequence, derExtensionRequest, tlv(tagSet, tlv(tagSequence, good), tlv(tagSequence, isCA)))), ReasonUnexpectedAttribute},
		"a third part in it":        {tlv(0xa0, tlv(tagSequence, derExtensionRequest, tlv(tagSet, tlv(tagSequence, good)), tlv(tagSet))), ReasonUnexpectedAttribute},
		"no list in it":             {tlv(0xa0, tlv(tagSequence, derExtensionRequest, tlv(tagSet))), ReasonUnexpectedAttribute},
		"an empty list":             {tlv(0xa0, extensionRequest()), ReasonUnexpectedExtension},
		"the CA bit":                {tlv(0xa0, extensionRequest(good, isCA)), ReasonUnexpectedExtension},
		"the CA bit in front":       {tlv(0xa0, extensionRequest(isCA, good)), ReasonUnexpectedExtension},
		"the CA bit alone":          {tlv(0xa0, extensionRequest(isCA)), ReasonUnexpectedExtension},
		"key usage certSign":        {tlv(0xa0, extensionRequest(good, certSign)), ReasonUnexpectedExtension},
		"two SAN extensions":        {tlv(0xa0, extensionRequest(good, san(tlv(0x82, []byte("gateway.mooring"))))), ReasonUnexpectedExtension},
		"the same SAN twice":        {tlv(0xa0, extensionRequest(good, good)), ReasonUnexpectedExtension},
		"criticality spelt out":     {tlv(0xa0, sanWith(derSubjectAltName, tlv(tagBoolean, []byte{0}), octets)), ReasonMalformedRequest},
		"criticality not DER":       {tlv(0xa0, sanWith(derSubjectAltName, tlv(tagBoolean, []byte{1}), octets)), ReasonMalformedRequest},
		"a SAN without a value":     {tlv(0xa0, sanWith(derSubjectAltName)), ReasonMalformedRequest},
		"a SAN with two values":     {tlv(0xa0, sanWith(derSubjectAltName, octets, octets)), ReasonMalformedRequest},
		"a SAN with bytes after it": {tlv(0xa0, sanWith(derSubjectAltName, tlv(tagOctets, tlv(tagSequence, uriName(node.URI())), []byte{0}))), ReasonUnexpectedName},
		"attributes twice":          {slices.Concat(tlv(0xa0, extensionRequest(good)), tlv(0xa0)), ReasonMalformedRequest},
	} {
		t.Run(name, func(t *testing.T) {
			key := newKey(t)
			f := validRequest(t, key)
			f.attributes = c.attributes
			wantRequestError(t, ValidateCSR(f.der(t), node, fingerprintOf(t, key.Public())), c.reason)
		})
	}
}

func TestRequestsWithABadFrameAreRefused(t *testing.T) {
	key := newKey(t)
	pin := fingerprintOf(t, key.Public())
	edit := func(change func(*forgery)) []byte {
		f := validRequest(t, key)
		change(&f)
		return f.der(t)
	}
	good := validRequest(t, key).der(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384DER, err := x509.MarshalPKIXPublicKey(p384.Public())
	if err != nil {
		t.Fatal(err)
	}
	sha384 := slices.Clone(ecdsaWithSHA256)
	sha384[len(sha384)-1] = 3
	nullParameters := tlv(tagSequence, ecdsaWithSHA256[2:], []byte{5, 0})
	for name, c := range map[string]struct {
		der    []byte
		reason string
	}{
		"nothing":                    {nil, ReasonMalformedRequest},
		"text":                       {[]byte("-----BEGIN CERTIFICATE REQUEST-----"), ReasonMalformedRequest},
		"an empty sequence":          {tlv(tagSequence), ReasonMalformedRequest},
		"cut short":                  {good[:len(good)-1], ReasonMalformedRequest},
		"a trailing byte":            {append(slices.Clone(good), 0), ReasonTrailingData},
		"a second request behind it": {append(slices.Clone(good), good...), ReasonTrailingData},
		"bytes after the signature":  {edit(func(f *forgery) { f.afterSig = tlv(tagOctets, []byte{1}) }), ReasonTrailingData},
		"bytes after the attributes": {edit(func(f *forgery) { f.afterBody = tlv(tagOctets, []byte{1}) }), ReasonMalformedRequest},
		"a length not DER":           {append([]byte{0x30, 0x84, 0, 0}, good[2:]...), ReasonMalformedRequest},
		"version 2":                  {edit(func(f *forgery) { f.version = tlv(tagInteger, []byte{1}) }), ReasonMalformedRequest},
		"no version":                 {edit(func(f *forgery) { f.version = nil }), ReasonMalformedRequest},
		"a common name":              {edit(func(f *forgery) { f.subject = commonName("admin") }), ReasonSubjectNotEmpty},
		"a common name twice":        {edit(func(f *forgery) { f.subject = commonName("press-7", "admin") }), ReasonSubjectNotEmpty},
		"an empty common name":       {edit(func(f *forgery) { f.subject = commonName("") }), ReasonSubjectNotEmpty},
		"a subject of empty sets":    {edit(func(f *forgery) { f.subject = tlv(tagSequence, tlv(tagSet)) }), ReasonSubjectNotEmpty},
		"a key on P-384":             {edit(func(f *forgery) { f.key = p384DER }), ReasonUnsupportedKey},
		"a key that is none":         {edit(func(f *forgery) { f.key = tlv(tagSequence) }), ReasonUnsupportedKey},
		"a key with bytes after it":  {edit(func(f *forgery) { f.key = tlv(tagSequence, f.key[2:], []byte{5, 0}) }), ReasonUnsupportedKey},
		"SHA-384":                    {edit(func(f *forgery) { f.algorithm = sha384 }), ReasonUnsupportedSignature},
		"NULL parameters":            {edit(func(f *forgery) { f.algorithm = nullParameters }), ReasonUnsupportedSignature},
		"another key's signature":    {edit(func(f *forgery) { f.signer = newKey(t) }), ReasonBadSignature},
		"a signature of rubbish":     {edit(func(f *forgery) { f.signature = []byte{1, 2, 3} }), ReasonBadSignature},
		"an empty signature":         {edit(func(f *forgery) { f.signature = []byte{} }), ReasonBadSignature},
		"one byte changed":           {flipLastBit(good), ReasonBadSignature},
		"over the size bound":        {bytes.Repeat([]byte{0x30}, MaxCSRBytes+1), ReasonRequestTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			wantRequestError(t, ValidateCSR(c.der, node, pin), c.reason)
		})
	}
}

func flipLastBit(b []byte) []byte {
	b = slices.Clone(b)
	b[len(b)-1] ^= 1
	return b
}

func TestRequestOfAnotherKeyIsRefused(t *testing.T) {
	key, pinned := newKey(t), newKey(t)
	der, err := NewCSR(key, node)
	if err != nil {
		t.Fatal(err)
	}
	wantRequestError(t, ValidateCSR(der, node, fingerprintOf(t, pinned.Public())), ReasonKeyMismatch)
	wantRequestError(t, ValidateCSR(der, node, ""), ReasonKeyMismatch)
	wantRequestError(t, ValidateCSR(der, node, strings.ToUpper(fingerprintOf(t, key.Public()))), ReasonKeyMismatch)
}

func TestRequestOfAnotherKindOfKeyIsRefused(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{rsaKey, edKey} {
		pin := fingerprintOf(t, key.Public())
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		if err != nil {
			t.Fatal(err)
		}
		// The frame is checked first, and a key of that type cannot sign with ECDSA.
		wantRequestError(t, ValidateCSR(der, node, pin), ReasonUnsupportedSignature)

		f := validRequest(t, newKey(t))
		if f.key, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
			t.Fatal(err)
		}
		wantRequestError(t, ValidateCSR(f.der(t), node, pin), ReasonUnsupportedKey)
	}
	if _, err := NewCSR(edKey, node); !errors.Is(err, ErrUnsupportedKey) {
		t.Errorf("NewRequest with Ed25519: %v, want ErrUnsupportedKey", err)
	}
}

func TestRequestForAMalformedIdentityIsRefused(t *testing.T) {
	key := newKey(t)
	bad := ID{TrustDomain: "mooring.example", Namespace: "fleet-a", Node: "Press/7"}
	if _, err := NewCSR(key, bad); !errors.Is(err, ErrInvalidID) {
		t.Errorf("NewRequest: %v, want ErrInvalidID", err)
	}
	f := validRequest(t, key)
	f.attributes = tlv(0xa0, extensionRequest(san(uriName(bad.URI()))))
	wantRequestError(t, ValidateCSR(f.der(t), bad, fingerprintOf(t, key.Public())), ReasonInvalidIdentity)
}

func TestNoSingleBitOfARequestMayChange(t *testing.T) {
	key := newKey(t)
	pin := fingerprintOf(t, key.Public())
	good := validRequest(t, key).der(t)
	for i := range good {
		for bit := range 8 {
			changed := slices.Clone(good)
			changed[i] ^= 1 << bit
			if ValidateCSR(changed, node, pin) == nil {
				t.Fatalf("bit %d of byte %d changed and accepted", bit, i)
			}
		}
	}
}
