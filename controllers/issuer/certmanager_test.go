package issuer

import (
	"errors"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestParseIssuer(t *testing.T) {
	for text, want := range map[string]cmmeta.IssuerReference{
		"ca":               {Group: "cert-manager.io", Kind: "Issuer", Name: "ca"},
		"Issuer/ca":        {Group: "cert-manager.io", Kind: "Issuer", Name: "ca"},
		"ClusterIssuer/ca": {Group: "cert-manager.io", Kind: "ClusterIssuer", Name: "ca"},
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "Secret/ca", "Issuer/", "Issuer/a/b", "CA", "issuer/ca"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

func TestAnswerOfCertManager(t *testing.T) {
	type conditions = []certmanagerv1.CertificateRequestCondition
	ready := func(status cmmeta.ConditionStatus, reason string) certmanagerv1.CertificateRequestCondition {
		return certmanagerv1.CertificateRequestCondition{Type: certmanagerv1.CertificateRequestConditionReady, Status: status, Reason: reason, Message: "because"}
	}
	is := func(kind certmanagerv1.CertificateRequestConditionType) certmanagerv1.CertificateRequestCondition {
		return certmanagerv1.CertificateRequestCondition{Type: kind, Status: cmmeta.ConditionTrue, Message: "because"}
	}
	tests := map[string]struct {
		conditions conditions
		want       string
	}{
		"not looked at":        {nil, "pending"},
		"approved":             {conditions{is(certmanagerv1.CertificateRequestConditionApproved)}, "pending"},
		"issuer not ready":     {conditions{ready(cmmeta.ConditionFalse, certmanagerv1.CertificateRequestReasonPending)}, "pending"},
		"denied":               {conditions{is(certmanagerv1.CertificateRequestConditionDenied)}, "refused"},
		"denied, as it shows":  {conditions{ready(cmmeta.ConditionFalse, certmanagerv1.CertificateRequestReasonDenied)}, "refused"},
		"invalid":              {conditions{is(certmanagerv1.CertificateRequestConditionInvalidRequest)}, "refused"},
		"failed":               {conditions{ready(cmmeta.ConditionFalse, certmanagerv1.CertificateRequestReasonFailed)}, "refused"},
		"approved and issued":  {conditions{is(certmanagerv1.CertificateRequestConditionApproved), ready(cmmeta.ConditionTrue, "Issued")}, "signed"},
		"invalid, then issued": {conditions{is(certmanagerv1.CertificateRequestConditionInvalidRequest), ready(cmmeta.ConditionTrue, "Issued")}, "refused"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			made := &certmanagerv1.CertificateRequest{
				ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(start)},
				Status:     certmanagerv1.CertificateRequestStatus{Conditions: test.conditions, Certificate: []byte("chain"), CA: []byte("ca")},
			}
			signed, err := (&CertManager{namespace: "system"}).resultOf(Order{Name: "box"}, made)
			var pending *PendingError
			var refused *RefusedError
			got := "signed"
			switch {
			case errors.As(err, &pending):
				got = "pending"
			case errors.As(err, &refused):
				got = "refused"
			case err != nil || string(signed.Chain) != "chain" || string(signed.CA) != "ca":
				t.Fatalf("%+v, %v", signed, err)
			}
			if got != test.want {
				t.Errorf("%s (%v), want %s", got, err, test.want)
			}
		})
	}
}
