package trust

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/report"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// caKeys stores, by authority.recordName, the fingerprint of the first CA key of an issuer. A CA
// keeps its key under the name of its issuer. Another key means that its Secret was deleted or
// replaced, and trusting only the new key would refuse every paired machine.
type caKeys map[string]string

// readCAKeys reads the recorded keys; it returns no keys if the text is invalid.
func readCAKeys(config *corev1.ConfigMap) caKeys {
	keys := caKeys{}
	if err := json.Unmarshal([]byte(config.Annotations[v1alpha1.AnnotationCAKeys]), &keys); err != nil {
		return caKeys{}
	}
	return keys
}

func (k caKeys) encode() (string, error) {
	text, err := jsontext.Marshal(k)
	if err != nil {
		return "", fmt.Errorf("encode the keys of the CAs: %w", err)
	}
	return string(text), nil
}

// recordedCA returns the recorded CA of an authority whose issuer now signs with another CA.
func (k caKeys) recordedCA(config *corev1.ConfigMap, a *authority) (bundle identity.Bundle, replaced bool) {
	recorded := k[a.recordName()]
	if recorded == "" || recorded == caKey(a.bundle) {
		return identity.Bundle{}, false
	}
	stored, err := identity.ParseBundle([]byte(config.Data[a.key]))
	if err != nil {
		return identity.Bundle{}, false
	}
	for _, certificate := range stored.Certificates() {
		if identity.FingerprintSPKIDER(certificate.RawSubjectPublicKeyInfo) == recorded {
			bundle, err = identity.ParseBundle(identity.MarshalCertificatesPEM(certificate))
			return bundle, err == nil
		}
	}
	return identity.Bundle{}, false
}

// caKey returns the fingerprint of the key of the first CA of a bundle; "" if it is empty.
func caKey(bundle identity.Bundle) string {
	for _, certificate := range bundle.Certificates() {
		return identity.FingerprintSPKIDER(certificate.RawSubjectPublicKeyInfo)
	}
	return ""
}

// recordName returns the key of an issuer in caKeys.
func (a *authority) recordName() string { return a.key + " " + a.issuerName }

// reportReplaced logs and records an event when a CA was replaced, or when it is back. It does so
// only on a change.
func (r *reconciler) reportReplaced(ctx context.Context, a *authority, replaced bool) {
	replacedBy := ""
	if replaced {
		replacedBy = caKey(a.bundle)
	}
	if replacedBy == a.replacedBy {
		return
	}
	a.replacedBy = replacedBy
	configMap := &corev1.ConfigMap{}
	if err := r.client.Get(ctx, r.key, configMap); err != nil {
		configMap.Namespace, configMap.Name = r.key.Namespace, r.key.Name
	}
	if !replaced {
		ctrl.LoggerFrom(ctx).Info("the CA of an issuer is the recorded one again", "issuer", a.issuerName)
		report.Emit(r.events, configMap, corev1.EventTypeNormal, v1alpha1.ReasonCARestored, "TrustCA", fmt.Sprintf("%s signs with the CA of %s again", a.issuerName, a.key))
		return
	}
	ctrl.LoggerFrom(ctx).Info("the CA of an issuer was replaced", "issuer", a.issuerName, "key", replacedBy)
	report.Emit(r.events, configMap, corev1.EventTypeWarning, v1alpha1.ReasonCAReplaced, "DistrustCA", fmt.Sprintf(
		"%s signs with another CA (key %s) than %s holds: its Secret was deleted or replaced. The new CA is not trusted. "+
			"Restore the Secret, or follow \"A CA that was lost\" in docs/how-to/rotate-cas.md", a.issuerName, replacedBy, a.key))
}
