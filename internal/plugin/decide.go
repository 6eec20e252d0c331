package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// maxConflictRetries bounds how often a decision is retried after a conflict: the controller writes
// the status of the same request.
const maxConflictRetries = 5

// outcomeTimeout is how long approve waits for the controller to act on an approval.
const outcomeTimeout = 5 * time.Second

// decider decides about requests of one fleet.
type decider struct {
	*tool
	decideOptions
	fleet    *fleet
	question *question
}

// decideOne shows a request, asks for a confirmation unless --yes is set, and writes the decision.
func (d decider) decideOne(ctx context.Context, name string) (*v1alpha1.PairingRequest, error) {
	request, err := d.readRequest(ctx, name)
	if err != nil {
		return nil, err
	}
	done, err := alreadyDecided(request, d.verdict, d.now())
	if err != nil {
		return nil, err
	}
	if done != "" {
		d.noticef("%s", done)
		return request, nil
	}
	var replaced *v1alpha1.Node
	if d.verdict == v1alpha1.VerdictApproved {
		code := d.findCode(ctx, request)
		replaced = d.findReplacedNode(ctx, request, code)
		if err := validateApproval(request, d.capabilities, replaced); err != nil {
			return nil, err
		}
		d.notice(describeRequest(request, code, replaced, d.now()))
	}
	if !d.yes && !d.question.confirm(fmt.Sprintf("Does the machine show %s? Approve it? [y/N] ", request.Spec.VerificationCode)) {
		return nil, fmt.Errorf("pairing request %q was not approved: nothing was changed", name)
	}
	return d.writeDecision(ctx, request, replaced)
}

// findCode returns the code of a request, nil if it cannot be read. A person without the right to
// read codes can still decide, because the controller checks the decision again.
func (d decider) findCode(ctx context.Context, request *v1alpha1.PairingRequest) *v1alpha1.PairingCode {
	var code v1alpha1.PairingCode
	if request.Spec.CodeName == "" || d.fleet.get(ctx, request.Spec.CodeName, &code) != nil {
		return nil
	}
	return &code
}

// findReplacedNode returns the Node that the machine would take over; nil if there is none or it
// cannot be read.
func (d decider) findReplacedNode(ctx context.Context, request *v1alpha1.PairingRequest, code *v1alpha1.PairingCode) *v1alpha1.Node {
	if code == nil || !code.Spec.ReplaceNode {
		return nil
	}
	var node v1alpha1.Node
	if d.fleet.get(ctx, request.Spec.NodeName, &node) != nil {
		return nil
	}
	return &node
}

func (d decider) readRequest(ctx context.Context, name string) (*v1alpha1.PairingRequest, error) {
	var request v1alpha1.PairingRequest
	err := d.fleet.get(ctx, name, &request)
	if apierrors.IsNotFound(err) && !isNotInstalled(err) {
		names := d.completeRequests(ctx, d.fleet, nil)
		return nil, d.fleet.notFoundError(ctx, "pairing request", name, names, "See those that wait: kubectl mooring pending -n "+d.fleet.namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("read pairing request %q: %w", name, d.fleet.explainError(err, "pairingrequests"))
	}
	return &request, nil
}

// writeDecision writes the decision to exactly the request that was shown. After a conflict it
// tries again if only the status changed: all fields that a person judges are immutable, and the
// UID identifies the object.
func (d decider) writeDecision(ctx context.Context, shown *v1alpha1.PairingRequest, replaced *v1alpha1.Node) (*v1alpha1.PairingRequest, error) {
	request := shown.DeepCopy()
	for range maxConflictRetries {
		patch, err := decisionPatch(request, d.decision())
		if err != nil {
			return nil, err
		}
		err = d.fleet.Patch(ctx, request, client.RawPatch(types.MergePatchType, patch))
		if err == nil {
			return d.reportOutcome(ctx, request, replaced)
		}
		if !apierrors.IsConflict(err) {
			return nil, fmt.Errorf("decide about pairing request %q: %w", shown.Name, d.fleet.explainError(err, "pairingrequests"))
		}
		if request, err = d.readRequest(ctx, shown.Name); err != nil {
			return nil, err
		}
		if request.UID != shown.UID {
			return nil, fmt.Errorf("pairing request %q is not the one that was shown: it was replaced meanwhile. Look at it again", shown.Name)
		}
		if done, err := alreadyDecided(request, d.verdict, d.now()); err != nil || done != "" {
			d.noticef("%s", done)
			return request, err
		}
	}
	return nil, fmt.Errorf("pairing request %q kept changing: try again", shown.Name)
}

func (d decider) decision() v1alpha1.PairingDecision {
	return v1alpha1.PairingDecision{Verdict: d.verdict, Reason: d.reason, Capabilities: d.capabilities}
}

// decisionPatch returns a merge patch that the server applies only to the version of the object
// that was read.
func decisionPatch(request *v1alpha1.PairingRequest, decision v1alpha1.PairingDecision) ([]byte, error) {
	return jsontext.Marshal(map[string]any{
		"metadata": map[string]any{"uid": request.UID, "resourceVersion": request.ResourceVersion},
		"spec":     map[string]any{"decision": decision},
	})
}

// reportOutcome waits up to `outcomeTimeout` for the outcome of an approval: a request whose name
// is taken fails at once, and its approver must see that. A missing right to watch or a slow
// controller is not an error.
func (d decider) reportOutcome(ctx context.Context, request *v1alpha1.PairingRequest, replaced *v1alpha1.Node) (*v1alpha1.PairingRequest, error) {
	latest := request
	if request.Spec.Decision.Verdict == v1alpha1.VerdictApproved {
		waiting, cancel := context.WithTimeout(ctx, outcomeTimeout)
		defer cancel()
		_ = objectWatcher[v1alpha1.PairingRequest, *v1alpha1.PairingRequest]{
			fleet: d.fleet, list: &v1alpha1.PairingRequestList{}, onConnectionLost: func(error) {},
			isDone: func(r *v1alpha1.PairingRequest) bool {
				latest = r
				return r.Status.Phase != "" && r.Status.Phase != v1alpha1.PairingRequestPending
			},
		}.wait(waiting, request)
	}
	if latest.Status.Phase == v1alpha1.PairingRequestFailed {
		_, err := alreadyDecided(latest, "", d.now())
		return nil, err
	}
	d.noticef("%s", decisionMessage(latest, replaced))
	if latest.Spec.Decision.Verdict == v1alpha1.VerdictApproved && (latest.Status.Phase == "" || latest.Status.Phase == v1alpha1.PairingRequestPending) {
		d.noticef("The controller has not acted on it yet. See its status: kubectl get preq %s -n %s", latest.Name, latest.Namespace)
	}
	return latest, nil
}

// decisionMessage returns a sentence about the decision and the next step.
func decisionMessage(r *v1alpha1.PairingRequest, replaced *v1alpha1.Node) string {
	if r.Spec.Decision.Verdict == v1alpha1.VerdictDenied {
		return fmt.Sprintf("Denied pairing request %q.", r.Name)
	}
	granted := r.Spec.Decision.Capabilities
	if len(granted) == 0 {
		granted = r.Spec.RequestedCapabilities
	}
	if replaced != nil {
		granted = replaced.Spec.CapabilityPolicy.Allow
	}
	return fmt.Sprintf("Approved pairing request %q with %s. See it come online: kubectl mooring nodes %s -n %s",
		r.Name, joinOrNone(granted), r.Spec.NodeName, r.Namespace)
}

func joinOrNone(capabilities []string) string {
	if len(capabilities) == 0 {
		return "no capabilities"
	}
	return strings.Join(slices.Sorted(slices.Values(capabilities)), ", ")
}
