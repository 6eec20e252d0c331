package plugin_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestAnApproverIsAskedAtTheTerminal(t *testing.T) {
	ns := newFleet(t)
	r := newRequest(t, ns, "r")
	p, answer := startAtTerminal(t, ada, ns, "approve", "r")
	p.waitForStderr("Does the machine show " + verification + "? Approve it? [y/N]")
	answer("n")
	p.wantExit(1, "err:nothing was changed")
	if d := decisionOf(t, r); d != nil {
		t.Fatalf("the answer no stored a decision: %+v", d)
	}
	p, answer = startAtTerminal(t, ada, ns, "approve", "r")
	p.waitForStderr("[y/N]")
	// A write of the status by the controller does not invalidate the shown request.
	if err := sharedCluster.Client().Get(t.Context(), client.ObjectKeyFromObject(r), r); err != nil {
		t.Fatal(err)
	}
	r.Status.NodeName = "press-3"
	setRequestPhase(t, r, v1alpha1.PairingRequestPending)
	answer("y")
	p.wantExit(0, "err:Approved pairing request \"r\"")
	if d := decisionOf(t, r); d == nil || d.By != ada {
		t.Errorf("decision is %+v", d)
	}
}

func TestSomebodyElseWasFasterWhileTheQuestionWasOpen(t *testing.T) {
	ns := newFleet(t)
	r := newRequest(t, ns, "r")
	p, answer := startAtTerminal(t, ada, ns, "approve", "r")
	p.waitForStderr("[y/N]")
	denial := []byte(`{"spec":{"decision":{"verdict":"Denied","reason":"I do not know it"}}}`)
	if err := sharedCluster.Client().Patch(t.Context(), r.DeepCopy(), client.RawPatch(types.MergePatchType, denial)); err != nil {
		t.Fatal(err)
	}
	answer("y")
	p.wantExit(1, "err:already denied by", "err:I do not know it")
}

func TestAnotherRequestOfTheSameNameIsNotApproved(t *testing.T) {
	ns := newFleet(t)
	r := newRequest(t, ns, "r")
	p, answer := startAtTerminal(t, ada, ns, "approve", "r")
	p.waitForStderr("[y/N]")
	if err := sharedCluster.Client().Delete(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	second := newRequest(t, ns, "r")
	answer("y")
	p.wantExit(1, "err:it was replaced meanwhile")
	if d := decisionOf(t, second); d != nil {
		t.Errorf("the second one was decided: %+v", d)
	}
}
