package pairingrequest

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/controllers/step"
	"github.com/mooring-dev/mooring/internal/identity"
)

// approve creates the Node of an approved request, or gives an existing Node its new key. It then
// publishes the identity for which the machine may request a certificate.
func (r *reconciler) approve(ctx context.Context, s *scope) step.Outcome {
	var err error
	if s.node, err = r.liveNode(ctx, s.request); err != nil {
		return step.Fail(err)
	}
	if !isNodeOfRequest(s.node, s.request) {
		outcome := step.Run(ctx, s, r.check, r.findConflictingNode, r.createNode, r.takeOver)
		if !outcome.Continues() {
			return outcome
		}
	}
	return r.publishIdentity(s)
}

// isNodeOfRequest reports whether a Node was created or re-keyed for this request.
func isNodeOfRequest(node *v1alpha1.Node, request *v1alpha1.PairingRequest) bool {
	return node != nil && node.Spec.PairingRequestUID == string(request.UID) && node.DeletionTimestamp.IsZero()
}

func (r *reconciler) liveNode(ctx context.Context, request *v1alpha1.PairingRequest) (*v1alpha1.Node, error) {
	node := &v1alpha1.Node{}
	err := r.live.Get(ctx, client.ObjectKey{Namespace: request.Namespace, Name: request.Spec.NodeName}, node)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read node %q: %w", request.Spec.NodeName, err)
	}
	return node, nil
}

// createNode creates the Node of a request if its name is free.
func (r *reconciler) createNode(ctx context.Context, s *scope) step.Outcome {
	if s.node != nil {
		return step.Continue()
	}
	node := newNode(s.request, s.code)
	err := r.client.Create(ctx, node, client.FieldOwner(v1alpha1.FieldManagerController))
	switch {
	case apierrors.IsAlreadyExists(err):
		return awaitTermination()
	case err != nil:
		return step.Fail(fmt.Errorf("create node %q: %w", s.request.Spec.NodeName, err))
	}
	r.specs.MarkWritten(node)
	s.node = node
	return step.Continue()
}

// takeOver gives an existing Node the key of the request. The Node keeps capabilityPolicy, which
// therefore must be proven; the keys are replaced.
func (r *reconciler) takeOver(ctx context.Context, s *scope) step.Outcome {
	node, request := s.node, s.request
	switch {
	case isNodeOfRequest(node, request):
		return step.Continue() // createNode made it
	case terminating(node, request):
		return awaitTermination()
	}
	if refused := checkTakeover(node, s.code); refused != nil {
		return step.Refuse(refused)
	}
	if proven, err := r.specs.PolicyProven(node); err != nil {
		return step.Fail(err)
	} else if !proven {
		return step.Refuse(status.Reasonf(v1alpha1.ErrorPolicyUnproven, "capabilityPolicy of Node %q is not proven, see its condition %s: resolve that first, then pair again with a new code",
			node.Name, v1alpha1.ConditionSpecUnproven))
	}
	before := node.DeepCopy()
	node.Spec.PublicKeySHA256 = request.Spec.PublicKeySHA256
	node.Spec.NextPublicKeySHA256 = ""
	node.Spec.PairingRequestUID = string(request.UID)
	node.Spec.ServiceAccount = request.Spec.ServiceAccount
	node.Spec.CapabilityPolicy.Allow = inheritedCapabilities(node.Spec.CapabilityPolicy.Allow, request.Spec, s.code.Spec)
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, node, patch, client.FieldOwner(v1alpha1.FieldManagerController)); err != nil {
		return step.Fail(fmt.Errorf("give node %q its new key: %w", node.Name, err))
	}
	r.specs.MarkWritten(node)
	return step.Continue()
}

// checkTakeover checks whether a machine may take the name of an existing Node.
func checkTakeover(existing *v1alpha1.Node, code *v1alpha1.PairingCode) *status.Reason {
	switch {
	case existing.Spec.DesiredState == v1alpha1.NodeRevoked:
		return status.Reasonf(v1alpha1.ReasonNameTaken, "Node %q is Revoked and is never replaced: delete it first, or pair under another name", existing.Name)
	case !code.Spec.ReplaceNode || code.Spec.NodeName != existing.Name:
		return status.Reasonf(v1alpha1.ReasonNameTaken, "Node %q exists: pair under another name, delete the Node, or use a code with replaceNode", existing.Name)
	default:
		return nil
	}
}

func newNode(request *v1alpha1.PairingRequest, code *v1alpha1.PairingCode) *v1alpha1.Node {
	labels := map[string]string{}
	for key, value := range code.Spec.NodeLabels {
		labels[key] = string(value)
	}
	return &v1alpha1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:  request.Namespace,
			Name:       request.Spec.NodeName,
			Labels:     labels,
			Finalizers: []string{v1alpha1.FinalizerNode},
		},
		Spec: v1alpha1.NodeSpec{
			PublicKeySHA256:   request.Spec.PublicKeySHA256,
			PairingRequestUID: string(request.UID),
			ServiceAccount:    request.Spec.ServiceAccount,
			CapabilityPolicy:  v1alpha1.CapabilityPolicy{Allow: grantedCapabilities(request.Spec, code.Spec)},
		},
	}
}

// publishIdentity writes the identity of the machine to the status of its request.
func (r *reconciler) publishIdentity(s *scope) step.Outcome {
	request := s.request
	id := identity.ID{TrustDomain: r.trustDomain, Namespace: request.Namespace, Node: request.Spec.NodeName}
	if err := id.Validate(); err != nil {
		return step.Fail(fmt.Errorf("publish the identity of request %s/%s: %w", request.Namespace, request.Name, err))
	}
	request.Status.Phase = v1alpha1.PairingRequestApproved
	request.Status.SPIFFEID = id.URI()
	request.Status.NodeName = request.Spec.NodeName
	r.setCondition(s, v1alpha1.ConditionIssued, metav1.ConditionFalse,
		status.NewReason(v1alpha1.ReasonAwaitingCertificateRequest, "the machine has to send its certificate request"))
	r.announce(s, v1alpha1.ConditionApproved, metav1.ConditionTrue, "ApproveRequest",
		status.NewReason(approvalReason(request), verdictText("approved", request.Spec.Decision)))
	return step.Done()
}
