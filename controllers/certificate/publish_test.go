package certificate

import (
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/internal/foreign/corpus"
)

func TestValidity(t *testing.T) {
	end := metav1.NewTime(start.Add(time.Hour))
	history := []v1alpha1.CertificateInfo{{PublicKeySHA256: "pin", NotAfter: &end}}
	foreign := []v1alpha1.CertificateInfo{{PublicKeySHA256: "old", NotAfter: &end}}
	waiting := status.NewReason(v1alpha1.ReasonIssuerNotReady, "waiting")
	tests := map[string]struct {
		history []v1alpha1.CertificateInfo
		trouble *status.Reason
		after   time.Duration
		status  metav1.ConditionStatus
		reason  string
		message string
	}{
		"none yet":                            {nil, nil, 0, metav1.ConditionFalse, v1alpha1.ReasonCertificatePending, "no certificate"},
		"none yet, and the issuer is slow":    {nil, waiting, 0, metav1.ConditionFalse, v1alpha1.ReasonIssuerNotReady, "waiting"},
		"one of the key before":               {foreign, nil, 0, metav1.ConditionFalse, v1alpha1.ReasonCertificatePending, "no certificate"},
		"a good one":                          {history, nil, 0, metav1.ConditionTrue, v1alpha1.ReasonCertificateIssued, "2026-03-01T13:00:00Z"},
		"a good one, while the issuer is off": {history, waiting, 0, metav1.ConditionTrue, v1alpha1.ReasonIssuerNotReady, "is valid until 2026-03-01T13:00:00Z; the next certificate: waiting"},
		"one that ran out":                    {history, nil, time.Hour, metav1.ConditionFalse, v1alpha1.ReasonCertificateExpired, "2026-03-01T13:00:00Z"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			node := &v1alpha1.Node{Spec: v1alpha1.NodeSpec{PublicKeySHA256: "pin"}, Status: v1alpha1.NodeStatus{CertificateHistory: test.history}}
			got, expires := certificateValidCondition(node, test.trouble, start.Add(test.after))
			if got.Status != test.status || got.Reason != test.reason || !strings.Contains(got.Message, test.message) {
				t.Errorf("%+v, want %s, %s, %q", got, test.status, test.reason, test.message)
			}
			if issued := test.history != nil && test.history[0].PublicKeySHA256 == "pin"; (expires != "") != issued {
				t.Errorf("expires %q", expires)
			}
		})
	}
}

func TestHistoryNamesTheLastFiveCertificatesOnce(t *testing.T) {
	node := &v1alpha1.Node{Status: v1alpha1.NodeStatus{CertificateRequest: &v1alpha1.NodeCertificateRequest{Request: []byte("csr")}}}
	publish := func(serial int64) {
		certificate := &x509.Certificate{Raw: []byte{byte(serial)}, SerialNumber: big.NewInt(serial)}
		answer, err := statusWithChain(node, []*x509.Certificate{certificate})
		if err != nil {
			t.Fatal(err)
		}
		node.Status = v1alpha1.NodeStatus{CertificateRequest: node.Status.CertificateRequest, Issued: answer.Issued, CertificateHistory: answer.CertificateHistory}
	}
	for serial := range int64(7) {
		publish(serial)
		publish(serial) // as after a crash
	}
	var serials []string
	for _, info := range node.Status.CertificateHistory {
		serials = append(serials, info.SerialNumber)
	}
	if got := strings.Join(serials, " "); got != "6 5 4 3 2" {
		t.Errorf("history is %s", got)
	}
}

func TestTheErrorOfACertificateIsOneSafeLine(t *testing.T) {
	node := &v1alpha1.Node{Status: v1alpha1.NodeStatus{CertificateRequest: &v1alpha1.NodeCertificateRequest{}}}
	for name, text := range corpus.Texts {
		shown := statusWithError(node, errors.New(text)).Issued.Error
		if problem := corpus.FindProblem(shown); problem != "" || strings.ContainsAny(shown, "\n\t") || len(shown) > maxErrorText {
			t.Errorf("%s, %d bytes: %s in %.300q", name, len(shown), problem, shown)
		}
	}
}

func TestAnswersFitTheirFields(t *testing.T) {
	node := &v1alpha1.Node{Status: v1alpha1.NodeStatus{CertificateRequest: &v1alpha1.NodeCertificateRequest{Request: []byte("csr")}}}
	if got := statusWithError(node, errors.New(strings.Repeat("x", 5000))).Issued.Error; len(got) != maxErrorText {
		t.Errorf("the error has %d bytes", len(got))
	}
	large := &x509.Certificate{Raw: make([]byte, maxChainText), SerialNumber: big.NewInt(1)}
	if _, err := statusWithChain(node, []*x509.Certificate{large}); err == nil {
		t.Error("a chain that does not fit is published")
	}
}
