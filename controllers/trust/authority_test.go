package trust

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/issuer"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/test/pki"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestLearnBundle(t *testing.T) {
	ca, other := pki.NewCA(t, "ca", start), pki.NewCA(t, "other", start)
	request, err := sampleRequest()
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := sampleRequest()
	if err != nil {
		t.Fatal(err)
	}
	sample := identity.MarshalCertificatesPEM(ca.SignRequest(t, request))
	tests := map[string]struct {
		signed issuer.Signed
		want   string // "" if the bundle is accepted
	}{
		"the CA that signed":          {issuer.Signed{Chain: sample, CA: identity.MarshalCertificatesPEM(ca.Certificate)}, ""},
		"a CA that did not sign":      {issuer.Signed{Chain: sample, CA: identity.MarshalCertificatesPEM(other.Certificate)}, "not signed under"},
		"a certificate of another":    {issuer.Signed{Chain: identity.MarshalCertificatesPEM(ca.SignRequest(t, foreign)), CA: identity.MarshalCertificatesPEM(ca.Certificate)}, "another key"},
		"no CA":                       {issuer.Signed{Chain: sample}, "status.ca is empty"},
		"a leaf in the place of a CA": {issuer.Signed{Chain: sample, CA: sample}, "not a CA"},
		"no chain":                    {issuer.Signed{CA: identity.MarshalCertificatesPEM(ca.Certificate)}, "empty"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bundle, err := bundleFromSample(test.signed, request)
			switch {
			case test.want == "" && (err != nil || !bundle.Certificates()[0].Equal(ca.Certificate)):
				t.Errorf("%v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error is %v, want %q", err, test.want)
			}
		})
	}
}

func TestBundlesAreTheUnionWithTheAuthorityInUseFirst(t *testing.T) {
	bundle := func(name string) identity.Bundle {
		parsed, err := identity.ParseBundle(identity.MarshalCertificatesPEM(pki.NewCA(t, name, start).Certificate))
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	r := &reconciler{authorities: []*authority{
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
