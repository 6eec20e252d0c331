package proof

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/report"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/policy"
)

// Specs stores for each Node which keys and which capabilityPolicy are proven. Memory takes
// precedence over status.provenSpec, which a gateway could change while no policy forbids it.
type Specs struct {
	proofs Proofs
	clock  clock.PassiveClock
	events events.EventRecorder
	seen   ObservedValues

	mu    sync.Mutex
	nodes map[types.UID]v1alpha1.ProvenSpec
	// adoptionReported is true after evaluateAll has reported the adopted Nodes.
	adoptionReported bool
}

// NewSpecs returns the record of a process that has seen no Node yet.
func NewSpecs(proofs Proofs, clock clock.PassiveClock, recorder events.EventRecorder) *Specs {
	return &Specs{proofs: proofs, clock: clock, events: recorder, nodes: map[types.UID]v1alpha1.ProvenSpec{}}
}

// Evaluate compares the spec of a Node with the proven one. It returns the record for the status,
// or nil while there is none. awaitingProof means that the next proof decides about a change.
func (p *Specs) Evaluate(node *v1alpha1.Node) (record *v1alpha1.ProvenSpec, awaitingProof bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, isKnown := p.nodes[node.UID]
	if !isKnown && node.Status.ProvenSpec != nil {
		known, isKnown = *node.Status.ProvenSpec, true
	}
	epoch, first, ok := p.proofs.Current()
	if !ok {
		if !isKnown {
			return nil, false
		}
		return &known, false
	}
	keys, capabilities := dispatch.KeysSHA256(node.Spec), dispatch.CapabilityPolicySHA256(node.Spec.CapabilityPolicy)
	seen := p.seen.Since(node.UID, keys+capabilities, p.clock.Now())
	if !isKnown {
		switch coverage, in := p.proofs.Covers(node.CreationTimestamp.Time); {
		case first:
			known = v1alpha1.ProvenSpec{Epoch: epoch.ID, KeysSHA256: keys, CapabilityPolicySHA256: capabilities}
		case coverage == policy.Awaiting, coverage == policy.Covered && in.ID == epoch.ID:
			known.Epoch = epoch.ID // the whole spec counts as a change in this Epoch
		}
	}
	sameEpoch, provenSince := known.Epoch == epoch.ID, p.proofs.ProvenAfter(seen)
	k, waitsForKeys := provenField{known.KeysSHA256, known.UnprovenKeysSHA256}.evaluate(keys, sameEpoch, provenSince)
	c, waitsForPolicy := provenField{known.CapabilityPolicySHA256, known.UnprovenCapabilityPolicySHA256}.evaluate(capabilities, sameEpoch, provenSince)
	if awaitingProof = waitsForKeys || waitsForPolicy; awaitingProof {
		p.proofs.Request()
		if !isKnown {
			return nil, true
		}
		return &known, true
	}
	p.nodes[node.UID] = v1alpha1.ProvenSpec{
		Epoch: epoch.ID, KeysSHA256: k.proven, UnprovenKeysSHA256: k.unproven,
		CapabilityPolicySHA256: c.proven, UnprovenCapabilityPolicySHA256: c.unproven,
	}
	next := p.nodes[node.UID]
	return &next, false
}

// provenField holds the hash of the proven value and the hash of the unproven value of a field.
type provenField struct{ proven, unproven string }

// evaluate returns the field for its current value. sameEpoch means that the policies were in force
// since the field was last evaluated; provenSince means that they were proven after the value was
// first seen.
func (f provenField) evaluate(current string, sameEpoch, provenSince bool) (next provenField, awaitingProof bool) {
	switch {
	case current == f.proven:
		return provenField{proven: current}, false
	case current == f.unproven:
		return f, false
	case !sameEpoch:
		return provenField{f.proven, current}, false
	case provenSince:
		return provenField{proven: current}, false
	default:
		return f, true
	}
}

// KeysProven reports whether the keys of a Node may get certificates and may move. It returns
// ErrAwaiting while the answer depends on the next proof.
func (p *Specs) KeysProven(node *v1alpha1.Node) (bool, error) {
	record, awaitingProof := p.Evaluate(node)
	switch {
	case awaitingProof, record == nil:
		return false, ErrAwaiting
	default:
		return record.KeysSHA256 == dispatch.KeysSHA256(node.Spec), nil
	}
}

// PolicyProven is KeysProven for capabilityPolicy.
func (p *Specs) PolicyProven(node *v1alpha1.Node) (bool, error) {
	record, awaitingProof := p.Evaluate(node)
	switch {
	case awaitingProof, record == nil:
		return false, ErrAwaiting
	default:
		return record.CapabilityPolicySHA256 == dispatch.CapabilityPolicySHA256(node.Spec.CapabilityPolicy), nil
	}
}

// MarkWritten records that this process itself has just written the keys and the capabilityPolicy
// of a Node. The caller has checked that the previous values were proven.
func (p *Specs) MarkWritten(node *v1alpha1.Node) {
	epoch, _, ok := p.proofs.Current()
	if !ok {
		return
	}
	p.markSeen(node)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nodes[node.UID] = v1alpha1.ProvenSpec{
		Epoch: epoch.ID, KeysSHA256: dispatch.KeysSHA256(node.Spec), CapabilityPolicySHA256: dispatch.CapabilityPolicySHA256(node.Spec.CapabilityPolicy),
	}
}

// MarkKeysWritten is MarkWritten for the keys alone.
func (p *Specs) MarkKeysWritten(node *v1alpha1.Node) {
	p.markSeen(node)
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.nodes[node.UID]
	if !ok {
		return // evaluate decides when it first sees the Node
	}
	known.KeysSHA256, known.UnprovenKeysSHA256 = dispatch.KeysSHA256(node.Spec), ""
	p.nodes[node.UID] = known
}

// markSeen prevents a cache that still has the older value from passing it off as a settled change.
func (p *Specs) markSeen(node *v1alpha1.Node) {
	p.seen.Since(node.UID, dispatch.KeysSHA256(node.Spec)+dispatch.CapabilityPolicySHA256(node.Spec.CapabilityPolicy), p.clock.Now())
}

// Forget forgets a deleted Node.
func (p *Specs) Forget(uid types.UID) {
	p.seen.Forget(uid)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.nodes, uid)
}

// EvaluateAll evaluates all Nodes for an Epoch that begins. It runs again for the same Epoch if
// another hook fails.
func (p *Specs) EvaluateAll(ctx context.Context, live client.Reader) error {
	list := &v1alpha1.NodeList{}
	if err := live.List(ctx, list); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	_, first, _ := p.proofs.Current()
	adopted := 0
	for i := range list.Items {
		node := &list.Items[i]
		if first && node.Status.ProvenSpec == nil {
			adopted++
		}
		p.Evaluate(node)
	}
	p.reportAdoption(ctx, adopted)
	return nil
}

// reportAdoption emits the Event SpecAdopted for a number of Nodes, once in the life of a process.
func (p *Specs) reportAdoption(ctx context.Context, adopted int) {
	p.mu.Lock()
	reported := p.adoptionReported
	p.adoptionReported = true
	p.mu.Unlock()
	if reported || adopted == 0 {
		return
	}
	logf.FromContext(ctx).Info("nodes adopted as they were found", "nodes", adopted)
	record := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.PolicyProofConfigMap}}
	record.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	report.Emit(p.events, record, corev1.EventTypeNormal, v1alpha1.ReasonSpecAdopted, "AdoptSpecs",
		fmt.Sprintf("keys and capabilityPolicy of %d Nodes were adopted as they were found: no proof covers the time before this one", adopted))
}
