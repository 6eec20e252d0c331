package pairingrequest

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/proof"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/internal/identity"
)

// approve creates the Node of an approved request, or gives an existing Node its new key. It then
// publishes the identity for which the machine may request a certificate.
func (r *reconciler) approve(ctx context.Context, request *v1alpha1.PairingRequest) (ctrl.Result, error) {
	node, err := r.liveNode(ctx, request)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !isNodeOfRequest(node, request) {
		code, refused, err := r.check(ctx, request)
		if err == nil && refused == nil {
			var retry bool
			retry, refused, err = r.createOrTakeOver(ctx, request, code, node)
			if retry {
				return ctrl.Result{RequeueAfter: proof.GateRetryDelay}, err
			}
		}
		if err != nil {
			return ctrl.Result{}, err
		}
		if refused != nil {
			return r.finish(ctx, request, v1alpha1.PairingRequestFailed, refused)
		}
	}
	return ctrl.Result{}, r.publishIdentity(ctx, request)
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

// createOrTakeOver creates the Node or takes it over. retry means that an old Node is still being
// deleted.
func (r *reconciler) createOrTakeOver(ctx context.Context, request *v1alpha1.PairingRequest, code *v1alpha1.PairingCode, existing *v1alpha1.Node) (retry bool, refused *status.Reason, err error) {
	retry, refused, err = r.findConflictingNode(ctx, request)
	if retry || refused != nil || err != nil {
		return retry, refused, err
	}
	switch {
	case existing == nil:
		node := newNode(request, code)
		if err := r.client.Create(ctx, node, client.FieldOwner(v1alpha1.FieldManagerController)); err != nil {
			if apierrors.IsAlreadyExists(err) {
				return true, nil, nil
			}
			return false, nil, fmt.Errorf("create node %q: %w", request.Spec.NodeName, err)
		}
		r.specs.MarkWritten(node)
		return false, nil, nil
	case terminating(existing, request):
		return true, nil, nil
	}
	if refused := checkTakeover(existing, code); refused != nil {
		return false, refused, nil
	}
	// The takeover inherits capabilityPolicy, which therefore must be proven; the keys are
	// replaced.
	if proven, err := r.specs.PolicyProven(existing); err != nil {
		return false, nil, err
	} else if !proven {
		return false, status.Reasonf(v1alpha1.ErrorPolicyUnproven, "capabilityPolicy of Node %q is not proven, see its condition %s: resolve that first, then pair again with a new code",
			existing.Name, v1alpha1.ConditionSpecUnproven), nil
	}
	before := existing.DeepCopy()
	existing.Spec.PublicKeySHA256 = request.Spec.PublicKeySHA256
	existing.Spec.NextPublicKeySHA256 = ""
	existing.Spec.PairingRequestUID = string(request.UID)
	existing.Spec.ServiceAccount = request.Spec.ServiceAccount
	existing.Spec.CapabilityPolicy.Allow = inheritedCapabilities(existing.Spec.CapabilityPolicy.Allow, request.Spec, code.Spec)
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, existing, patch, client.FieldOwner(v1alpha1.FieldManagerController)); err != nil {
		return false, nil, fmt.Errorf("give node %q its new key: %w", existing.Name, err)
	}
	r.specs.MarkWritten(existing)
	return false, nil, nil
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
func (r *reconciler) publishIdentity(ctx context.Context, request *v1alpha1.PairingRequest) error {
	id := identity.ID{TrustDomain: r.trustDomain, Namespace: request.Namespace, Node: request.Spec.NodeName}
	if err := id.Validate(); err != nil {
		return fmt.Errorf("publish the identity of request %s/%s: %w", request.Namespace, request.Name, err)
	}
	before := request.DeepCopy()
	request.Status.Phase = v1alpha1.PairingRequestApproved
	request.Status.SPIFFEID = id.URI()
	request.Status.NodeName = request.Spec.NodeName
	r.setRequestCondition(request, v1alpha1.ConditionIssued, metav1.ConditionFalse,
		status.Reasonf(v1alpha1.ReasonAwaitingCertificateRequest, "the machine has to send its certificate request"))
	return r.saveCondition(ctx, before, request, v1alpha1.ConditionApproved, metav1.ConditionTrue,
		status.NewReason(approvalReason(request), verdictText("approved", request.Spec.Decision)))
}
