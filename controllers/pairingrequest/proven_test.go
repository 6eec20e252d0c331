package pairingrequest

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/proof"
	"github.com/mooring-dev/mooring/internal/policy"
	"github.com/mooring-dev/mooring/test/fakeproofs"
)

// fakeGate is a Gate that a test closes.
type fakeGate struct{ err error }

func (g *fakeGate) Check() error { return g.err }

func TestADecisionIsCarriedOutOnlyWhileProofsCoverIt(t *testing.T) {
	const carriedOut, waits, refused, unproven = "carried out", "waits", "refused", "waits for a proof"
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
		"not proven since":                   {epoch: "now", want: unproven},
		"not proven since, the gate is shut": {epoch: "now", gate: shut, want: waits},
		"undecided in another Epoch":         {epoch: "before", proven: true, want: refused},
		"never seen undecided":               {proven: true, want: refused},
		"the policies fail":                  {epoch: "now", proven: true, fails: true, want: refused},
	} {
		t.Run(name, func(t *testing.T) {
			clock := testingclock.NewFakeClock(start)
			proofs := &fakeproofs.Proofs{Epoch: policy.Epoch{ID: "now", Until: start}, OK: !test.fails}
			if test.proven {
				proofs.Epoch.Until = start.Add(time.Second)
			}
			r := &reconciler{proofs: proofs, gate: &fakeGate{test.gate}, clock: clock}
			outcome := r.requireProof(t.Context(), newScope(&v1alpha1.PairingRequest{
				ObjectMeta: metav1.ObjectMeta{UID: types.UID("u")},
				Spec:       v1alpha1.PairingRequestSpec{Decision: &v1alpha1.PairingDecision{Verdict: v1alpha1.VerdictApproved, By: "ada"}},
				Status:     v1alpha1.PairingRequestStatus{PolicyEpoch: test.epoch},
			}))
			got := carriedOut
			switch {
			case errors.Is(outcome.Err(), proof.ErrAwaiting):
				got = unproven
			case outcome.Refusal() != nil:
				got = refused
			case !outcome.Continues():
				got = waits
			}
			if got != test.want {
				t.Errorf("the decision is %s, want %s", got, test.want)
			}
		})
	}
}

func TestTheMessageAboutAnUnprovenDecisionNamesTheRightAndTheWayOut(t *testing.T) {
	proofs := &fakeproofs.Proofs{Epoch: policy.Epoch{ID: "now", Until: start}, OK: true}
	r := &reconciler{proofs: proofs, gate: &fakeGate{}, clock: testingclock.NewFakeClock(start)}
	outcome := r.requireProof(t.Context(), newScope(&v1alpha1.PairingRequest{
		Spec:   v1alpha1.PairingRequestSpec{Decision: &v1alpha1.PairingDecision{Verdict: v1alpha1.VerdictApproved, By: "ada"}},
		Status: v1alpha1.PairingRequestStatus{PolicyEpoch: "before"},
	}))
	refused := outcome.Refusal()
	if refused == nil || refused.Reason != v1alpha1.ErrorPolicyUnproven {
		t.Fatalf("refused for %+v, want %s", refused, v1alpha1.ErrorPolicyUnproven)
	}
	for _, want := range []string{`"ada" had the verb approve on pairingrequests`, "while the admission policies were not proven", "pair the machine again with a new code"} {
		if !strings.Contains(refused.Message, want) {
			t.Errorf("the message has no %q: %s", want, refused.Message)
		}
	}
}
