package pairingrequest

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/pairingcode"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/test/pki"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// In every case, the right key used the record for the right request.
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
			record := &pairingcode.Record{Secret: &corev1.Secret{}, Code: client.ObjectKeyFromObject(code), CodeUID: code.UID,
				Method: v1alpha1.PairingMethodPIN, ConsumedBy: "key", RequestName: "box"}
			if test.deleting {
				now := metav1.NewTime(start)
				record.Secret.DeletionTimestamp = &now
			}
			got := ""
			if refused := checkCode(request, code, record); refused != nil {
				got = refused.Reason
			}
			if got != test.want {
				t.Errorf("refused for %q, want %q", got, test.want)
			}
		})
	}
}

func TestTheKeyOfARequestHasItsFingerprintAndCode(t *testing.T) {
	key, fingerprint := pki.DeviceKey(t)
	_, foreign := pki.DeviceKey(t)
	text, err := identity.MarshalPublicKeyPEM(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key, fingerprint, code string
		ok                     bool
	}{
		"of its key":                         {string(text), fingerprint, pairing.VerificationCode(fingerprint), true},
		"the fingerprint of another key":     {string(text), foreign, pairing.VerificationCode(fingerprint), false},
		"both of another key":                {string(text), foreign, pairing.VerificationCode(foreign), false},
		"the code of another key":            {string(text), fingerprint, pairing.VerificationCode(foreign), false},
		"a text that is no key":              {"no key", fingerprint, pairing.VerificationCode(fingerprint), false},
		"a fingerprint in another way":       {string(text), strings.ToUpper(fingerprint), pairing.VerificationCode(fingerprint), false},
		"neither a fingerprint nor its code": {string(text), "", "", false},
	} {
		refused := checkKey(v1alpha1.PairingRequestSpec{PublicKey: test.key, PublicKeySHA256: test.fingerprint, VerificationCode: test.code})
		if test.ok != (refused == nil) || refused != nil && refused.Reason != v1alpha1.ReasonKeyMismatch {
			t.Errorf("%s: refused %v", name, refused)
		}
	}
}

func TestARequestFitsItsCodeAndRecord(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*v1alpha1.PairingRequest, *v1alpha1.PairingCode, *pairingcode.Record)
		want   string
	}{
		"all fits":             {func(*v1alpha1.PairingRequest, *v1alpha1.PairingCode, *pairingcode.Record) {}, ""},
		"no key used the code": {func(_ *v1alpha1.PairingRequest, _ *v1alpha1.PairingCode, r *pairingcode.Record) { r.ConsumedBy = "" }, v1alpha1.ReasonCodeMismatch},
		"another key used it": {func(_ *v1alpha1.PairingRequest, _ *v1alpha1.PairingCode, r *pairingcode.Record) {
			r.ConsumedBy = "foreign"
		}, v1alpha1.ReasonCodeMismatch},
		"it was for another request": {func(_ *v1alpha1.PairingRequest, _ *v1alpha1.PairingCode, r *pairingcode.Record) {
			r.RequestName = "other"
		}, v1alpha1.ReasonCodeMismatch},
		"a record of a namesake": {func(_ *v1alpha1.PairingRequest, _ *v1alpha1.PairingCode, r *pairingcode.Record) { r.CodeUID = "older" }, v1alpha1.ReasonCodeNotFound},
		"the code names another": {func(_ *v1alpha1.PairingRequest, c *v1alpha1.PairingCode, _ *pairingcode.Record) {
			c.Status.UsedBy = "other"
		}, v1alpha1.ReasonCodeMismatch},
		"another method than the code": {func(q *v1alpha1.PairingRequest, _ *v1alpha1.PairingCode, _ *pairingcode.Record) {
			q.Spec.Method = v1alpha1.PairingMethodQR
		}, v1alpha1.ReasonCodeMismatch},
		"another issuer": {func(q *v1alpha1.PairingRequest, _ *v1alpha1.PairingCode, _ *pairingcode.Record) {
			q.Spec.CodeIssuedBy = "root"
		}, v1alpha1.ReasonCodeMismatch},
		"a name the code does not fix": {func(_ *v1alpha1.PairingRequest, c *v1alpha1.PairingCode, _ *pairingcode.Record) {
			c.Spec.NodeName = "kiosk"
		}, v1alpha1.ReasonCodeMismatch},
	} {
		code := &v1alpha1.PairingCode{
			ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "code", UID: "uid"},
			Spec:       v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, IssuedBy: "ida"},
			Status:     v1alpha1.PairingCodeStatus{Phase: v1alpha1.PairingCodeActive},
		}
		request := &v1alpha1.PairingRequest{
			ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "box"},
			Spec:       v1alpha1.PairingRequestSpec{NodeName: "box", PublicKeySHA256: "key", Method: v1alpha1.PairingMethodPIN, CodeName: "code", CodeIssuedBy: "ida"},
		}
		record := &pairingcode.Record{Secret: &corev1.Secret{}, Code: client.ObjectKeyFromObject(code), CodeUID: code.UID,
			Method: v1alpha1.PairingMethodPIN, ConsumedBy: "key", RequestName: "box"}
		test.change(request, code, record)
		got := ""
		if refused := checkCode(request, code, record); refused != nil {
			got = refused.Reason
		}
		if got != test.want {
			t.Errorf("%s: refused for %q, want %q", name, got, test.want)
		}
	}
}

func TestATakeoverNeedsACodeForThatNode(t *testing.T) {
	for name, test := range map[string]struct {
		state v1alpha1.NodeDesiredState
		code  v1alpha1.PairingCodeSpec
		ok    bool
	}{
		"a code with replaceNode":      {v1alpha1.NodeActive, v1alpha1.PairingCodeSpec{ReplaceNode: true, NodeName: "box"}, true},
		"a code without replaceNode":   {v1alpha1.NodeActive, v1alpha1.PairingCodeSpec{NodeName: "box"}, false},
		"a code for another Node":      {v1alpha1.NodeActive, v1alpha1.PairingCodeSpec{ReplaceNode: true, NodeName: "kiosk"}, false},
		"a code that names no Node":    {v1alpha1.NodeActive, v1alpha1.PairingCodeSpec{ReplaceNode: true}, false},
		"a Node that is Revoked":       {v1alpha1.NodeRevoked, v1alpha1.PairingCodeSpec{ReplaceNode: true, NodeName: "box"}, false},
		"a Node that is Suspended":     {v1alpha1.NodeSuspended, v1alpha1.PairingCodeSpec{ReplaceNode: true, NodeName: "box"}, true},
		"the same without replaceNode": {v1alpha1.NodeSuspended, v1alpha1.PairingCodeSpec{}, false},
	} {
		node := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: "box"}, Spec: v1alpha1.NodeSpec{DesiredState: test.state}}
		if refused := checkTakeover(node, &v1alpha1.PairingCode{Spec: test.code}); test.ok != (refused == nil) {
			t.Errorf("%s: refused %v", name, refused)
		}
	}
}
