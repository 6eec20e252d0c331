package proof

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/policy"
	"github.com/mooring-dev/mooring/test/fakeproofs"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// specFixture holds one Node and the proofs of its policies.
type specFixture struct {
	t      *testing.T
	proofs *fakeproofs.Proofs
	clock  *testingclock.FakeClock
	specs  *Specs
	node   *v1alpha1.Node
}

func newSpecFixture(t *testing.T) *specFixture {
	w := &specFixture{t: t, clock: testingclock.NewFakeClock(start), proofs: &fakeproofs.Proofs{Epoch: policy.Epoch{ID: "first", Until: start}, First: true, OK: true}}
	w.node = &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{UID: "u", CreationTimestamp: metav1.NewTime(start.Add(-time.Hour))},
		Spec: v1alpha1.NodeSpec{PublicKeySHA256: "pin", CapabilityPolicy: v1alpha1.CapabilityPolicy{Allow: []string{"echo"}}}}
	w.restartLeader()
	return w
}

// restartLeader drops the memory of the leader and keeps the stored state.
func (w *specFixture) restartLeader() { w.specs = NewSpecs(w.proofs, w.clock, nil) }

// step advances the clock by a second, then judges and stores as the reconciler does.
func (w *specFixture) step() (waits bool) {
	w.clock.Step(time.Second)
	record, waits := w.specs.Evaluate(w.node)
	if record != nil {
		w.node.Status.ProvenSpec = record
	}
	return waits
}

func (w *specFixture) prove() { w.clock.Step(time.Second); w.proofs.Epoch.Until = w.clock.Now() }

func (w *specFixture) beginEpoch(id string) {
	w.clock.Step(time.Second)
	w.proofs.Epoch, w.proofs.First, w.proofs.OK = policy.Epoch{ID: id, Since: w.clock.Now(), Until: w.clock.Now()}, false, true
}

func (w *specFixture) allow(entries ...string) { w.node.Spec.CapabilityPolicy.Allow = entries }

func (w *specFixture) checkProven(proven bool) {
	w.t.Helper()
	if got := w.node.Status.ProvenSpec != nil && dispatch.SpecProven(w.node); got != proven {
		w.t.Errorf("the spec is proven: %v, want %v (%+v)", got, proven, w.node.Status.ProvenSpec)
	}
	if _, present := UnprovenCondition(w.node, w.node.Status.ProvenSpec); present && proven {
		w.t.Error("a proven spec has the condition SpecUnproven")
	}
}

func TestASpecIsUsedOnlyAsAProofCoversIt(t *testing.T) {
	for name, try := range map[string]func(*specFixture){
		"found at the upgrade: adopted": func(w *specFixture) {
			w.step()
			w.checkProven(true)
		},
		"changed under the policies: waits for the next proof": func(w *specFixture) {
			w.step()
			w.allow("echo", "system.*")
			if !w.step() {
				w.t.Error("a change is believed before a proof covers it")
			}
			w.checkProven(false)
			w.prove()
			w.step()
			w.checkProven(true)
		},
		"changed while the policies fail": func(w *specFixture) {
			w.step()
			w.proofs.OK = false
			w.allow("system.*")
			w.step()
			w.checkProven(false)
			w.beginEpoch("second")
			w.prove()
			w.step()
			w.checkProven(false)
			if _, told := UnprovenCondition(w.node, w.node.Status.ProvenSpec); !told {
				w.t.Error("condition SpecUnproven is missing")
			}
			for range 5 {
				w.prove()
				w.step()
			}
			w.checkProven(false) // time alone proves nothing
		},
		"changed between two proofs of other objects, and the leader was replaced": func(w *specFixture) {
			w.step()
			w.allow("system.*")
			w.beginEpoch("second")
			w.restartLeader()
			w.prove()
			w.step()
			w.checkProven(false)
		},
		"changed back by anybody": func(w *specFixture) {
			w.step()
			w.allow("system.*")
			w.beginEpoch("second")
			w.step()
			w.allow("echo")
			w.step()
			w.checkProven(true)
		},
		"set anew under the policies": func(w *specFixture) {
			w.step()
			w.allow("system.*")
			w.beginEpoch("second")
			w.step()
			w.allow("system.health")
			w.step()
			w.prove()
			w.step()
			w.checkProven(true)
			w.allow("system.*") // the intended value, after a review
			w.step()
			w.prove()
			w.step()
			w.checkProven(true)
		},
		"the leader was away, no policy changed": func(w *specFixture) {
			w.step()
			w.allow("echo", "system.*")
			w.restartLeader()
			w.step()
			w.prove()
			w.step()
			w.checkProven(true)
		},
		"the record in the status was forged meanwhile": func(w *specFixture) {
			w.step()
			w.proofs.OK = false
			w.allow("system.*")
			w.node.Status.ProvenSpec.CapabilityPolicySHA256 = dispatch.CapabilityPolicySHA256(w.node.Spec.CapabilityPolicy)
			w.beginEpoch("second")
			w.prove()
			w.step()
			w.checkProven(false)
		},
		"forged keys outlive an approver's change of the policy": func(w *specFixture) {
			w.step()
			w.node.Spec.PublicKeySHA256 = "forged"
			w.beginEpoch("second")
			w.step()
			w.allow("echo", "system.*")
			w.step()
			w.prove()
			w.step()
			w.checkProven(false)
			if proven, err := w.specs.KeysProven(w.node); proven || err != nil {
				w.t.Errorf("forged keys are proven: %v, %v", proven, err)
			}
			w.node.Spec.PublicKeySHA256 = "paired again"
			w.specs.MarkWritten(w.node)
			w.step()
			w.checkProven(true)
		},
		"a Node that was made while the policies failed": func(w *specFixture) {
			w.clock.Step(time.Minute)
			w.beginEpoch("second")
			w.prove()
			w.step()
			w.checkProven(false)
		},
		"a Node of this Epoch": func(w *specFixture) {
			w.beginEpoch("second")
			w.node.CreationTimestamp = metav1.NewTime(w.clock.Now())
			w.step()
			w.prove()
			w.step()
			w.checkProven(true)
		},
	} {
		t.Run(name, func(t *testing.T) { try(newSpecFixture(t)) })
	}
}
