package trust

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/issuer"
	"github.com/mooring-dev/mooring/internal/identity"
)

const (
	// trustRefreshInterval is the interval at which the CA of an issuer is checked again.
	trustRefreshInterval = time.Hour
	// replacedRefreshInterval replaces trustRefreshInterval while the CA of an issuer differs from
	// the recorded one.
	replacedRefreshInterval = time.Minute
	// sampleDuration is the lifetime of a sample: the shortest that cert-manager allows.
	sampleDuration = time.Hour
	// componentTrust is the component label of the CertificateRequests that reveal a CA.
	componentTrust = "trust"
)

// authority is an issuer whose CA belongs in a trust bundle. The controller must not read CA
// Secrets. It gets the CA from a sample certificate whose key is discarded.
type authority struct {
	name       string // such as "server" or "previous-device"; used in names and logs
	key        string // key in the ConfigMap
	issuerName string // KIND/NAME
	issuer     issuer.Issuer

	replacedBy string // key of the CA that the issuer has now, if it differs from the recorded one

	sample      *issuer.Order // not answered yet
	bundle      identity.Bundle
	refreshedAt time.Time // when bundle was last updated; zero: never
}

// refreshBundle updates bundle if the refresh interval is over. It returns a *PendingError while
// the issuer has not answered.
func (a *authority) refreshBundle(ctx context.Context, now time.Time) error {
	if !a.refreshedAt.IsZero() && now.Before(a.refreshedAt.Add(a.refreshInterval())) {
		return nil
	}
	if a.sample == nil {
		request, err := sampleRequest()
		if err != nil {
			return err
		}
		a.sample = &issuer.Order{
			Name:     "mooring-trust-" + a.name + "-" + identity.FingerprintCSR(request)[:12],
			Labels:   a.labels(),
			Request:  request,
			Usages:   []certmanagerv1.KeyUsage{certmanagerv1.UsageDigitalSignature}, // neither server nor client
			Duration: sampleDuration,
		}
		// Delete the samples of an earlier process.
		if err := a.issuer.DeleteOrders(ctx, a.labels(), a.sample.Name); err != nil {
			return err
		}
	}
	signed, err := a.issuer.Sign(ctx, *a.sample)
	if refused := (*issuer.RefusedError)(nil); errors.As(err, &refused) {
		a.sample = nil // the issuer never signs it: the next attempt creates another sample
	}
	if err != nil {
		return err
	}
	if a.bundle, err = bundleFromSample(signed, a.sample.Request); err != nil {
		a.sample = nil
		return fmt.Errorf("learn the CA of issuer %s: %w", a.name, err)
	}
	a.refreshedAt, a.sample = now, nil
	return a.issuer.DeleteOrders(ctx, a.labels(), "")
}

// refreshInterval returns how long a bundle is used before the issuer is asked again.
func (a *authority) refreshInterval() time.Duration {
	if a.replacedBy != "" {
		return replacedRefreshInterval
	}
	return trustRefreshInterval
}

func (a *authority) labels() map[string]string {
	return map[string]string{v1alpha1.LabelComponent: componentTrust, labelAuthority: a.name}
}

// labelAuthority is the label that distinguishes the samples of the authorities.
const labelAuthority = "mooring.dev/authority"

// sampleRequest returns a certificate request whose key is discarded at once.
func sampleRequest() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for a sample certificate: %w", err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "mooring-trust-sample"},
	}, key)
	if err != nil {
		return nil, fmt.Errorf("request a sample certificate: %w", err)
	}
	return request, nil
}

// bundleFromSample returns the CA in an answer, after it verified that this CA signed the sample.
func bundleFromSample(signed issuer.Signed, request []byte) (identity.Bundle, error) {
	chain, err := identity.ParseChainPEM(signed.Chain)
	if err != nil {
		return identity.Bundle{}, err
	}
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return identity.Bundle{}, err
	}
	sample := chain[0]
	if identity.FingerprintSPKIDER(sample.RawSubjectPublicKeyInfo) != identity.FingerprintSPKIDER(csr.RawSubjectPublicKeyInfo) {
		return identity.Bundle{}, fmt.Errorf("the issuer signed another key than the requested one")
	}
	text := signed.CA
	if len(text) == 0 {
		return identity.Bundle{}, fmt.Errorf("the issuer does not publish its CA (status.ca is empty): use an issuer of kind CA")
	}
	bundle, err := identity.ParseBundle(text)
	if err != nil {
		return identity.Bundle{}, err
	}
	intermediates := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		intermediates.AddCert(certificate)
	}
	_, err = sample.Verify(x509.VerifyOptions{
		Roots: bundle.Pool(), Intermediates: intermediates, CurrentTime: sample.NotBefore,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return identity.Bundle{}, fmt.Errorf("the certificate is not signed under the CA the issuer names: %w", err)
	}
	return bundle, nil
}
