package trust

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/test/pki"
)

func TestACAThatWasReplacedUnderItsNameIsNotTrusted(t *testing.T) {
	bundle := func(name string) identity.Bundle {
		parsed, err := identity.ParseBundle(identity.MarshalCertificatesPEM(pki.NewCA(t, name, start).Certificate))
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	old, next := bundle("old"), bundle("next")
	both, err := next.Merge(old)
	if err != nil {
		t.Fatal(err)
	}
	trust := func(stored identity.Bundle, keys string) *corev1.ConfigMap {
		return &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.AnnotationCAKeys: keys}},
			Data:       map[string]string{v1alpha1.TrustDeviceCAKey: string(stored.PEM())},
		}
	}
	oldKey := `{"device-ca.crt Issuer/ca":"` + caKey(old) + `"}`
	tests := map[string]struct {
		config  *corev1.ConfigMap
		issuer  string
		learned identity.Bundle
		kept    string // key of the recorded CA if it is kept; "" if the CA from the sample is used
	}{
		"the first time":                      {&corev1.ConfigMap{}, "Issuer/ca", old, ""},
		"as it was":                           {trust(old, oldKey), "Issuer/ca", old, ""},
		"another key under the same name":     {trust(old, oldKey), "Issuer/ca", next, caKey(old)},
		"the same beside another CA":          {trust(both, oldKey), "Issuer/ca", next, caKey(old)},
		"an issuer of another name":           {trust(old, oldKey), "Issuer/ca-2", next, ""},
		"the recorded CA is not there":        {trust(next, oldKey), "Issuer/ca", next, ""},
		"the record was removed to accept it": {trust(old, ""), "Issuer/ca", next, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := &authority{key: v1alpha1.TrustDeviceCAKey, issuerName: test.issuer, bundle: test.learned}
			kept, replaced := readCAKeys(test.config).recordedCA(test.config, a)
			if replaced != (test.kept != "") || caKey(kept) != test.kept {
				t.Errorf("replaced %v, kept %q, want %q", replaced, caKey(kept), test.kept)
			}
		})
	}
}
