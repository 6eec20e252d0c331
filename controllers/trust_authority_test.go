package controllers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

// testCA signs samples like cert-manager.
type testCA struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newTestCA(t *testing.T, name string) testCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: start, NotAfter: start.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return testCA{key: key, certificate: signTest(t, template, template, key.Public().(*ecdsa.PublicKey), key)}
}

func signTest(t *testing.T, template, parent *x509.Certificate, key any, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, by)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func (ca testCA) sign(t *testing.T, request []byte) []byte {
	t.Helper()
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: csr.Subject, NotBefore: start, NotAfter: start.Add(time.Hour)}
	return pemOf(signTest(t, template, ca.certificate, csr.PublicKey, ca.key))
}

func pemOf(certificate *x509.Certificate) []byte {
	return identity.MarshalCertificatesPEM(certificate)
}

func TestLearnBundle(t *testing.T) {
	ca, other := newTestCA(t, "ca"), newTestCA(t, "other")
	request, err := sampleRequest()
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := sampleRequest()
	if err != nil {
		t.Fatal(err)
	}
	sample := ca.sign(t, request)
	tests := map[string]struct {
		signed Signed
		want   string // "" if the bundle is accepted
	}{
		"the CA that signed":          {Signed{Chain: sample, CA: pemOf(ca.certificate)}, ""},
		"a CA that did not sign":      {Signed{Chain: sample, CA: pemOf(other.certificate)}, "not signed under"},
		"a certificate of another":    {Signed{Chain: ca.sign(t, foreign), CA: pemOf(ca.certificate)}, "another key"},
		"no CA":                       {Signed{Chain: sample}, "status.ca is empty"},
		"a leaf in the place of a CA": {Signed{Chain: sample, CA: sample}, "not a CA"},
		"no chain":                    {Signed{CA: pemOf(ca.certificate)}, "empty"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bundle, err := bundleFromSample(test.signed, request)
			switch {
			case test.want == "" && (err != nil || !bundle.Certificates()[0].Equal(ca.certificate)):
				t.Errorf("%v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error is %v, want %q", err, test.want)
			}
		})
	}
}

func TestBundlesAreTheUnionWithTheAuthorityInUseFirst(t *testing.T) {
	bundle := func(name string) identity.Bundle {
		parsed, err := identity.ParseBundle(pemOf(newTestCA(t, name).certificate))
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	r := &trustReconciler{authorities: []*authority{
		{key: v1alpha1.TrustServerCAKey, bundle: bundle("server")},
		{key: v1alpha1.TrustDeviceCAKey, bundle: bundle("device")},
		{key: v1alpha1.TrustServerCAKey, bundle: bundle("old-server")},
	}}
	data, _, err := r.bundles(t.Context(), &corev1.ConfigMap{})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{v1alpha1.TrustServerCAKey: "server old-server", v1alpha1.TrustDeviceCAKey: "device"} {
		got, err := identity.ParseBundle([]byte(data[key]))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, ca := range got.Certificates() {
			names = append(names, ca.Subject.CommonName)
		}
		if strings.Join(names, " ") != want {
			t.Errorf("%s holds %v, want %s", key, names, want)
		}
	}
}
