package pairingrequest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

func TestGranted(t *testing.T) {
	tests := map[string]struct {
		requested, decided, limit, want []string
	}{
		"all that was requested":               {requested: []string{"system.health", "echo", "echo"}, want: []string{"echo", "system.health"}},
		"nothing requested, nothing granted":   {},
		"what the approver chose":              {requested: []string{"echo", "system.health"}, decided: []string{"echo"}, want: []string{"echo"}},
		"within the limit of the code":         {requested: []string{"echo", "system.health"}, limit: []string{"system.*"}, want: []string{"system.health"}},
		"a wide request is narrowed to it":     {requested: []string{"system.*"}, limit: []string{"system.health", "echo"}, want: []string{"system.health"}},
		"equal prefixes":                       {requested: []string{"system.*"}, limit: []string{"system.*"}, want: []string{"system.*"}},
		"a prefix is of whole segments":        {requested: []string{"systemd.stop"}, limit: []string{"system.*"}},
		"a code that allows none of it":        {requested: []string{"echo"}, limit: []string{"system.*"}},
		"a choice outside the limit is no way": {requested: []string{"echo", "system.health"}, decided: []string{"echo"}, limit: []string{"system.*"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spec := v1alpha1.PairingRequestSpec{RequestedCapabilities: test.requested}
			if test.decided != nil {
				spec.Decision = &v1alpha1.PairingDecision{Capabilities: test.decided}
			}
			got := grantedCapabilities(spec, v1alpha1.PairingCodeSpec{Capabilities: test.limit})
			if len(got)+len(test.want) > 0 && !cmp.Equal(test.want, got) {
				t.Errorf("granted %v, want %v", got, test.want)
			}
		})
	}
}

func TestATakeoverNeverWidensAndIsNarrowedByWhatWasNamed(t *testing.T) {
	tests := map[string]struct {
		allow, decided, limit, want []string
	}{
		"nothing named: the Node's own":            {allow: []string{"shell.run", "echo"}, want: []string{"shell.run", "echo"}},
		"what the approver chose":                  {allow: []string{"echo", "shell.run"}, decided: []string{"echo"}, want: []string{"echo"}},
		"the limit of the code":                    {allow: []string{"echo", "system.health"}, limit: []string{"system.*"}, want: []string{"system.health"}},
		"a name covered by a prefix stays a name":  {allow: []string{"system.*"}, decided: []string{"system.health"}, want: []string{"system.health"}},
		"nothing the Node did not allow":           {allow: []string{"echo"}, decided: []string{"echo", "system.health"}, want: []string{"echo"}},
		"nothing in common, nothing allowed":       {allow: []string{"shell.run"}, decided: []string{"echo"}},
		"both lists: what the Node and both allow": {allow: []string{"echo", "shell.run", "system.health"}, decided: []string{"echo", "system.health"}, limit: []string{"echo"}, want: []string{"echo"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spec := v1alpha1.PairingRequestSpec{RequestedCapabilities: []string{"echo", "system.health"}}
			if test.decided != nil {
				spec.Decision = &v1alpha1.PairingDecision{Capabilities: test.decided}
			}
			got := inheritedCapabilities(test.allow, spec, v1alpha1.PairingCodeSpec{Capabilities: test.limit})
			if len(got)+len(test.want) > 0 && !cmp.Equal(test.want, got) {
				t.Errorf("the Node allows %v, want %v", got, test.want)
			}
		})
	}
}

func TestIssueProgress(t *testing.T) {
	request := &v1alpha1.PairingRequest{Spec: v1alpha1.PairingRequestSpec{PublicKeySHA256: "mine"}}
	wish := &v1alpha1.NodeCertificateRequest{Request: []byte("csr")}
	waiting := []metav1.Condition{{Type: v1alpha1.ConditionCertificateValid, Reason: v1alpha1.ReasonIssuerNotReady, Message: "since noon"}}
	tests := map[string]struct {
		status v1alpha1.NodeStatus
		want   string
	}{
		"nothing was asked for":             {v1alpha1.NodeStatus{}, v1alpha1.ReasonAwaitingCertificateRequest},
		"it is being made":                  {v1alpha1.NodeStatus{CertificateRequest: wish}, v1alpha1.ReasonAwaitingCertificate},
		"the issuer is waited for":          {v1alpha1.NodeStatus{CertificateRequest: wish, Conditions: waiting}, v1alpha1.ReasonIssuerNotReady},
		"an earlier refusal does not count": {v1alpha1.NodeStatus{CertificateRequest: wish, Issued: &v1alpha1.IssuedCertificate{RequestSHA256: "other", Error: "no"}}, v1alpha1.ReasonAwaitingCertificate},
		"this request was refused": {v1alpha1.NodeStatus{CertificateRequest: wish, Issued: &v1alpha1.IssuedCertificate{
			RequestSHA256: identity.FingerprintCSR(wish.Request), Error: "no"}}, v1alpha1.ReasonCertificateRefused},
		"the machine before had one": {v1alpha1.NodeStatus{CertificateHistory: []v1alpha1.CertificateInfo{{PublicKeySHA256: "hers"}}}, v1alpha1.ReasonAwaitingCertificateRequest},
		"it is there":                {v1alpha1.NodeStatus{CertificateHistory: []v1alpha1.CertificateInfo{{PublicKeySHA256: "mine"}}}, v1alpha1.ReasonCompleted},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := issueProgress(&v1alpha1.Node{Status: test.status}, request); got.Reason != test.want {
				t.Errorf("%s (%s), want %s", got.Reason, got.Message, test.want)
			}
		})
	}
}
