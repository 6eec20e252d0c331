package controllers

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// The record is consumed by the right key for the right request in every case.
func TestARecordThatShouldBeGoneAdmitsNobody(t *testing.T) {
	tests := map[string]struct {
		phase    v1alpha1.PairingCodePhase
		deleting bool
		want     string
	}{
		"used a moment ago, the code is not closed yet":   {phase: v1alpha1.PairingCodeActive},
		"used in time, its time is over, still undecided": {phase: v1alpha1.PairingCodeUsed},
		"the code ran out before any key used it":         {phase: v1alpha1.PairingCodeExpired, want: v1alpha1.ReasonCodeNotFound},
		"the code is burnt":                               {phase: v1alpha1.PairingCodeBurnt, want: v1alpha1.ReasonCodeNotFound},
		"the record is deleted and held by a finalizer":   {phase: v1alpha1.PairingCodeActive, deleting: true, want: v1alpha1.ReasonCodeNotFound},
		"the same for a code whose request is terminal":   {phase: v1alpha1.PairingCodeUsed, deleting: true, want: v1alpha1.ReasonCodeNotFound},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code := &v1alpha1.PairingCode{
				ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "code", UID: "uid", CreationTimestamp: metav1.NewTime(start.Add(-time.Hour))},
				Spec:       v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, TTLSeconds: 60, IssuedBy: "ida"},
				Status:     v1alpha1.PairingCodeStatus{Phase: test.phase},
			}
			request := &v1alpha1.PairingRequest{
				ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "box"},
				Spec:       v1alpha1.PairingRequestSpec{NodeName: "box", PublicKeySHA256: "key", Method: v1alpha1.PairingMethodPIN, CodeName: "code", CodeIssuedBy: "ida"},
			}
			record := &pairingRecord{secret: &corev1.Secret{}, code: client.ObjectKeyFromObject(code), codeUID: code.UID,
				method: v1alpha1.PairingMethodPIN, consumedBy: "key", requestName: "box"}
			if test.deleting {
				now := metav1.NewTime(start)
				record.secret.DeletionTimestamp = &now
			}
			got := ""
			if refused := checkCode(request, code, record); refused != nil {
				got = refused.reason
			}
			if got != test.want {
				t.Errorf("refused for %q, want %q", got, test.want)
			}
		})
	}
}
