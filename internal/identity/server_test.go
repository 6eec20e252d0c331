package identity

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"
)

func withDNSNames(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = names }
}

func TestGatewayIsCheckedByItsCAAndItsFixedName(t *testing.T) {
	ca, impostor := newAuthority(t), newAuthority(t)
	for name, c := range map[string]struct {
		chain  []*x509.Certificate
		reason string
	}{
		"a proper gateway":       {ca.server(t), ""},
		"begins in 5 min":        {ca.server(t, validFrom(5*time.Minute)), ""},
		"no certificate":         {nil, ReasonNoCertificate},
		"other CA, same subject": {impostor.server(t), ReasonUntrusted},
		"expired":                {ca.server(t, validFrom(-25*time.Hour)), ReasonExpired},
		"begins in 15 min":       {ca.server(t, validFrom(15*time.Minute)), ReasonNotYetValid},
		"only the public name":   {ca.server(t, withDNSNames("gw.example.com")), ReasonWrongServerName},
		"a wildcard":             {ca.server(t, withDNSNames("*.mooring")), ReasonWrongServerName},
		"a name below":           {ca.server(t, withDNSNames("x.gateway.mooring")), ReasonWrongServerName},
		"a common name alone":    {ca.server(t, withDNSNames(), func(c *x509.Certificate) { c.Subject.CommonName = ServerName }), ReasonWrongServerName},
		"a machine's usage":      {ca.server(t, withUsages(x509.ExtKeyUsageClientAuth)), ReasonWrongUsage},
		"no usage":               {ca.server(t, withUsages()), ReasonWrongUsage},
		"a machine":              {ca.device(t, newKey(t).Public()), ReasonWrongUsage},
	} {
		t.Run(name, func(t *testing.T) {
			err := VerifyServer(c.chain, ca.pool(), now, NotBeforeLeeway)
			if c.reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantCertificateError(t, err, c.reason)
		})
	}
	wantCertificateError(t, VerifyServer(ca.server(t), nil, now, NotBeforeLeeway), ReasonUntrusted)
	wantCertificateError(t, VerifyServer(ca.server(t, validFrom(time.Minute)), ca.pool(), now, 0), ReasonNotYetValid)
}

func TestPinnedCAIsTheOnlyRoot(t *testing.T) {
	ca, impostor := newAuthority(t), newAuthority(t)
	pin := fingerprintOf(t, ca.cert.PublicKey)
	leafIsPinned := ca.server(t)
	with := func(chain []*x509.Certificate, more ...*x509.Certificate) []*x509.Certificate {
		return slices.Concat(chain, more)
	}
	for name, c := range map[string]struct {
		chain  []*x509.Certificate
		pin    string
		reason string
	}{
		"the CA in the chain":            {with(ca.server(t), ca.cert), pin, ""},
		"more in the chain":              {with(ca.server(t), impostor.cert, ca.cert), pin, ""},
		"the CA left out":                {ca.server(t), pin, ReasonPinnedCANotPresent},
		"another CA":                     {with(impostor.server(t), impostor.cert), pin, ReasonPinnedCANotPresent},
		"another's leaf, our CA shown":   {with(impostor.server(t), ca.cert), pin, ReasonUntrusted},
		"another's leaf and both CAs":    {with(impostor.server(t), impostor.cert, ca.cert), pin, ReasonUntrusted},
		"a pin of nothing":               {with(ca.server(t), ca.cert), "", ReasonPinnedCANotPresent},
		"a pinned leaf is no CA":         {with(leafIsPinned, leafIsPinned...), fingerprintOf(t, leafIsPinned[0].PublicKey), ReasonPinnedCANotPresent},
		"our CA, a machine's leaf":       {with(ca.device(t, newKey(t).Public()), ca.cert), pin, ReasonWrongUsage},
		"our CA, without the fixed name": {with(ca.server(t, withDNSNames("gw.example.com")), ca.cert), pin, ReasonWrongServerName},
		"no certificate":                 {nil, pin, ReasonNoCertificate},
		"an endless chain":               {with(ca.server(t), slices.Repeat([]*x509.Certificate{ca.cert}, 8)...), pin, ReasonMalformedChain},
	} {
		t.Run(name, func(t *testing.T) {
			err := VerifyPinnedServer(c.chain, c.pin, now, NotBeforeLeeway)
			if c.reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantCertificateError(t, err, c.reason)
		})
	}
}
