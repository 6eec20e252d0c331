package controllers

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
	"github.com/mooring-dev/mooring/internal/identity"
)

const (
	// trustRefresh is how often an issuer is asked again which CA it signs with.
	trustRefresh = time.Hour
	// replacedRefresh is trustRefresh while a CA is replaced under the name of its issuer.
	replacedRefresh = time.Minute
	// sampleDuration is the life of a sample: the shortest cert-manager allows.
	sampleDuration = time.Hour
	// componentTrust labels the CertificateRequests that are made to learn a CA.
	componentTrust = "trust"
)

// authority is an issuer whose CA belongs in a trust bundle. The controller has no right to
// read CA Secrets; it learns the CA from a sample certificate that nobody has the key of.
type authority struct {
	name       string // such as "server" or "previous-device": in names and logs
	key        string // of the ConfigMap
	issuerName string // KIND/NAME
	issuer     Issuer

	replacedBy string // key of the CA that the issuer has now, if it is not the recorded one

	sample *Order // not answered yet
	bundle identity.Bundle
	asked  time.Time // when bundle was learnt; zero: never
}

// learn brings bundle up to date, if it is time. It errs with *PendingError while the issuer
// has not answered.
func (a *authority) learn(ctx context.Context, now time.Time) error {
	if !a.asked.IsZero() && now.Before(a.asked.Add(a.refresh())) {
		return nil
	}
	if a.sample == nil {
		request, err := sampleRequest()
		if err != nil {
			return err
		}
		a.sample = &Order{
			Name:     "mooring-trust-" + a.name + "-" + requestSHA256(request)[:12],
			Labels:   a.labels(),
			Request:  request,
			Usages:   []certmanagerv1.KeyUsage{certmanagerv1.UsageDigitalSignature}, // neither server nor client
			Duration: sampleDuration,
		}
		// Samples of an earlier process.
		if err := a.issuer.Forget(ctx, a.labels(), a.sample.Name); err != nil {
			return err
		}
	}
	signed, err := a.issuer.Sign(ctx, *a.sample)
	if refused := (*RefusedError)(nil); errors.As(err, &refused) {
		a.sample = nil // it is never signed: the next attempt makes another one
	}
	if err != nil {
		return err
	}
	if a.bundle, err = learnBundle(signed, a.sample.Request); err != nil {
		a.sample = nil
		return fmt.Errorf("learn the CA of issuer %s: %w", a.name, err)
	}
	a.asked, a.sample = now, nil
	return a.issuer.Forget(ctx, a.labels(), "")
}

// refresh returns how long what was learned is used.
func (a *authority) refresh() time.Duration {
	if a.replacedBy != "" {
		return replacedRefresh
	}
	return trustRefresh
}

func (a *authority) labels() map[string]string {
	return map[string]string{v1alpha1.LabelComponent: componentTrust, labelAuthority: a.name}
}

// labelAuthority tells the samples of one authority from those of another.
const labelAuthority = "mooring.dev/authority"

// sampleRequest is a request for a certificate of a key that is forgotten at once.
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

// learnBundle takes the CA from an answer, if the sample is really signed under it.
func learnBundle(signed Signed, request []byte) (identity.Bundle, error) {
	chain, err := parseChain(signed.Chain)
	if err != nil {
		return identity.Bundle{}, err
	}
	asked, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return identity.Bundle{}, err
	}
	sample := chain[0]
	if identity.FingerprintSPKIDER(sample.RawSubjectPublicKeyInfo) != identity.FingerprintSPKIDER(asked.RawSubjectPublicKeyInfo) {
		return identity.Bundle{}, fmt.Errorf("the issuer signed another key than was asked for")
	}
	text := signed.CA
	if len(text) == 0 {
		return identity.Bundle{}, fmt.Errorf("the issuer does not say what its CA is (status.ca is empty): use an issuer of kind CA")
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
