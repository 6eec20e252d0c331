package controllers

import (
	"context"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/policy"
)

// provenSpecs stores for each Node which keys and which capabilityPolicy are proven. Memory takes
// precedence over status.provenSpec, which a gateway could change while no policy forbids it.
type provenSpecs struct {
	proofs Proofs
	clock  clock.PassiveClock
	events events.EventRecorder
	seen   observedValues

	mu    sync.Mutex
	nodes map[types.UID]v1alpha1.ProvenSpec
	// adoptionReported is true after evaluateAll has reported the adopted Nodes.
	adoptionReported bool
}

func newProvenSpecs(proofs Proofs, clock clock.PassiveClock, recorder events.EventRecorder) *provenSpecs {
	return &provenSpecs{proofs: proofs, clock: clock, events: recorder, nodes: map[types.UID]v1alpha1.ProvenSpec{}}
}

// evaluate compares the spec of a Node with the proven one. It returns the record for the status,
// or nil while there is none. awaitingProof means that the next proof decides about a change.
func (p *provenSpecs) evaluate(node *v1alpha1.Node) (record *v1alpha1.ProvenSpec, awaitingProof bool) {
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
	seen := p.seen.since(node.UID, keys+capabilities, p.clock.Now())
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

// keysProven reports whether the keys of a Node may get certificates and may move. It returns
// errAwaitingProof while the answer depends on the next proof.
func (p *provenSpecs) keysProven(node *v1alpha1.Node) (bool, error) {
	record, awaitingProof := p.evaluate(node)
	switch {
	case awaitingProof, record == nil:
		return false, errAwaitingProof
	default:
		return record.KeysSHA256 == dispatch.KeysSHA256(node.Spec), nil
	}
}

// policyProven is keysProven for capabilityPolicy.
func (p *provenSpecs) policyProven(node *v1alpha1.Node) (bool, error) {
	record, awaitingProof := p.evaluate(node)
	switch {
	case awaitingProof, record == nil:
		return false, errAwaitingProof
	default:
		return record.CapabilityPolicySHA256 == dispatch.CapabilityPolicySHA256(node.Spec.CapabilityPolicy), nil
	}
}

// markWritten records that this process itself has just written the keys and the capabilityPolicy
// of a Node. The caller has checked that the previous values were proven.
func (p *provenSpecs) markWritten(node *v1alpha1.Node) {
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

// markKeysWritten is markWritten for the keys alone.
func (p *provenSpecs) markKeysWritten(node *v1alpha1.Node) {
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
func (p *provenSpecs) markSeen(node *v1alpha1.Node) {
	p.seen.since(node.UID, dispatch.KeysSHA256(node.Spec)+dispatch.CapabilityPolicySHA256(node.Spec.CapabilityPolicy), p.clock.Now())
}

func (p *provenSpecs) forget(uid types.UID) {
	p.seen.forget(uid)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.nodes, uid)
}

// evaluateAll evaluates all Nodes for an Epoch that begins. It runs again for the same Epoch if
// another hook fails.
func (p *provenSpecs) evaluateAll(ctx context.Context, live client.Reader) error {
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
		p.evaluate(node)
	}
	p.reportAdoption(ctx, adopted)
	return nil
}

// reportAdoption emits the Event SpecAdopted for a number of Nodes, once in the life of a process.
func (p *provenSpecs) reportAdoption(ctx context.Context, adopted int) {
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
	emitEvent(p.events, record, corev1.EventTypeNormal, v1alpha1.ReasonSpecAdopted,
		fmt.Sprintf("keys and capabilityPolicy of %d Nodes were adopted as they were found: no proof covers the time before this one", adopted))
}

// unprovenCondition returns the condition SpecUnproven, if fields of a Node are unused because no
// proof covers them.
func unprovenCondition(node *v1alpha1.Node, record *v1alpha1.ProvenSpec) (metav1.Condition, bool) {
	var details []string
	if record != nil && record.UnprovenKeysSHA256 != "" {
		details = append(details, "publicKeySHA256, nextPublicKeySHA256, pairingRequestUID or serviceAccount: get no certificate until "+
			"the machine is paired again with a replaceNode code (verb approve on pairingrequests), or the Node is deleted")
	}
	if record != nil && record.UnprovenCapabilityPolicySHA256 != "" {
		details = append(details, "capabilityPolicy: grants nothing until a user with the verb approve on pairingrequests reviews it, "+
			"sets another value, and then sets the right value once this condition is gone")
	}
	if len(details) == 0 {
		return metav1.Condition{}, false
	}
	return metav1.Condition{
		Type: v1alpha1.ConditionSpecUnproven, Status: metav1.ConditionTrue, Reason: v1alpha1.ErrorPolicyUnproven,
		ObservedGeneration: node.Generation,
		Message: "written while the admission policies were not proven, so nothing shows that its writer had the right; nothing is offered to the machine: " +
			strings.Join(details, "; "),
	}, true
}
