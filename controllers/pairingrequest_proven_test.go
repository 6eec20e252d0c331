package controllers

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/policy"
)

// fakeGate is a Gate that a test closes.
type fakeGate struct{ err error }

func (g *fakeGate) Check() error { return g.err }

func TestADecisionIsCarriedOutOnlyWhileProofsCoverIt(t *testing.T) {
	const carriedOut, waits, refused, proof = "carried out", "waits", "refused", "waits for a proof"
	shut := errors.New("shut")
	for name, test := range map[string]struct {
		epoch  string // Epoch in which the request was undecided
		proven bool   // since the decision was seen
		fails  bool   // whether the policies are disproved
		gate   error
		want   string
	}{
		"proven":                             {epoch: "now", proven: true, want: carriedOut},
		"proven, the gate is shut":           {epoch: "now", proven: true, gate: shut, want: waits},
		"not proven since":                   {epoch: "now", want: proof},
		"not proven since, the gate is shut": {epoch: "now", gate: shut, want: waits},
		"undecided in another Epoch":         {epoch: "before", proven: true, want: refused},
		"never seen undecided":               {proven: true, want: refused},
		"the policies fail":                  {epoch: "now", proven: true, fails: true, want: refused},
	} {
		t.Run(name, func(t *testing.T) {
			clock := testingclock.NewFakeClock(start)
			proofs := &fakeProofs{epoch: policy.Epoch{ID: "now", Until: start}, ok: !test.fails}
			if test.proven {
				proofs.epoch.Until = start.Add(time.Second)
			}
			r := &pairingRequestReconciler{proofs: proofs, gate: &fakeGate{test.gate}, clock: clock}
			waiting, refusal, err := r.checkDecisionProven(&v1alpha1.PairingRequest{
				ObjectMeta: metav1.ObjectMeta{UID: types.UID("u")},
				Spec:       v1alpha1.PairingRequestSpec{Decision: &v1alpha1.PairingDecision{Verdict: v1alpha1.VerdictApproved, By: "ada"}},
				Status:     v1alpha1.PairingRequestStatus{PolicyEpoch: test.epoch},
			})
			got := carriedOut
			switch {
			case errors.Is(err, errAwaitingProof):
				got = proof
			case refusal != nil:
				got = refused
			case waiting != nil:
				got = waits
			}
			if got != test.want {
				t.Errorf("the decision is %s, want %s", got, test.want)
			}
		})
	}
}

func TestACodeIsBelievedOnlyIfProofsCoverItsCreation(t *testing.T) {
	proofs := &fakeProofs{epoch: policy.Epoch{ID: "now", Since: start, Until: start.Add(time.Minute)}, ok: true}
	for name, test := range map[string]struct {
		created     time.Time
		refused, ok bool
	}{
		"before the Epoch":     {created: start.Add(-time.Second), refused: true},
		"in it":                {created: start, ok: true},
		"after the last proof": {created: start.Add(time.Hour)},
	} {
		code := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(test.created)}}
		refused, err := checkCodeProven(proofs, code)
		if (refused != nil) != test.refused || (err == nil && refused == nil) != test.ok {
			t.Errorf("%s: refused %v, %v", name, refused, err)
		}
	}
}
