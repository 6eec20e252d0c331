package identity

import (
	"crypto/x509"
	"testing"
	"time"
)

func withLifetime(d time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(d) }
}

func TestLeafFromTheIssuerIsChecked(t *testing.T) {
	ca, key := newAuthority(t), newKey(t)
	pub, pin := key.Public(), fingerprintOf(t, key.Public())
	dying := newAuthority(t, func(c *x509.Certificate) { c.NotAfter = now.Add(12 * time.Hour) })
	for name, c := range map[string]struct {
		ca     authority
		chain  []*x509.Certificate
		reason string
	}{
		"as asked":                  {ca, ca.device(t, pub), ""},
		"for 25 h":                  {ca, ca.device(t, pub, withLifetime(MaxLeafLifetime)), ""},
		"with the CA in the chain":  {ca, append(ca.device(t, pub), ca.cert), ""},
		"up to the end of its CA":   {dying, dying.device(t, pub, withLifetime(12*time.Hour)), ""},
		"nothing":                   {ca, nil, ReasonNoCertificate},
		"for another node":          {ca, ca.device(t, pub, withRawSAN(uriName("spiffe://mooring.example/ns/fleet-a/node/press-8"))), ReasonWrongIdentity},
		"for another fleet":         {ca, ca.device(t, pub, withRawSAN(uriName("spiffe://mooring.example/ns/fleet-b/node/press-7"))), ReasonWrongIdentity},
		"for another trust domain":  {ca, ca.device(t, pub, withRawSAN(uriName("spiffe://evil.example/ns/fleet-a/node/press-7"))), ReasonForeignTrustDomain},
		"for another key":           {ca, ca.device(t, newKey(t).Public()), ReasonKeyMismatch},
		"with a DNS name":           {ca, ca.device(t, pub, func(c *x509.Certificate) { c.DNSNames = []string{ServerName} }), ReasonUnexpectedName},
		"with a subject":            {ca, ca.device(t, pub, func(c *x509.Certificate) { c.Subject.CommonName = "admin" }), ReasonSubjectNotEmpty},
		"with serverAuth":           {ca, ca.device(t, pub, withUsages(x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth)), ReasonWrongUsage},
		"as a CA":                   {ca, ca.device(t, pub, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }), ReasonWrongUsage},
		"for over 25 h":             {ca, ca.device(t, pub, withLifetime(MaxLeafLifetime+time.Second)), ReasonLifetimeTooLong},
		"for a year":                {ca, ca.device(t, pub, withLifetime(360*24*time.Hour)), ReasonLifetimeTooLong},
		"beyond the end of its CA":  {dying, dying.device(t, pub), ReasonLifetimeTooLong},
		"by another CA":             {ca, newAuthority(t).device(t, pub), ReasonUntrusted},
		"already over":              {ca, ca.device(t, pub, validFrom(-25*time.Hour)), ReasonExpired},
		"far ahead of time":         {ca, ca.device(t, pub, validFrom(time.Hour)), ReasonNotYetValid},
		"a minute ahead is a clock": {ca, ca.device(t, pub, validFrom(time.Minute)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := ValidateIssued(c.chain, node, pin, c.ca.pool(), now)
			if c.reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantCertificateError(t, err, c.reason)
		})
	}
	wantCertificateError(t, ValidateIssued(ca.device(t, pub), node, pin, nil, now), ReasonUntrusted)
}
