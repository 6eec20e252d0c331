package dispatch

import (
	"fmt"
	"slices"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// VerdictKind is the next action of the session's gateway for a dispatch.
type VerdictKind int

const (
	// VerdictDone means that the dispatch is finished and needs no action.
	VerdictDone VerdictKind = iota
	// VerdictWait means that the dispatch stays as it is until the Node or the dispatch changes.
	VerdictWait
	// VerdictOffer means that the gateway claims the dispatch if NeedsClaim reports true, and then
	// offers it.
	VerdictOffer
	// VerdictSettle means that the gateway writes Verdict.Status, which is terminal.
	VerdictSettle
)

// MaxInputBytes is the longest input that is offered, in bytes of JSON. A longer one would not fit
// into a message to the machine, and every attempt to offer it would end the session.
const MaxInputBytes = 256 << 10

// Verdict is the decision about one dispatch.
type Verdict struct {
	Kind   VerdictKind
	Status v1alpha1.CapabilityDispatchStatus // only for VerdictSettle
}

// Admit decides about a dispatch that the agent does not know. The gateway has not offered it in
// this session, and the agent's Hello did not name it. The caller holds the recorded session of the
// Node. Such a dispatch is therefore proven not to have started, unless an agent accepted it
// before. In that case the present journal is older than that acceptance, and the dispatch is never
// offered again.
//
// declared holds the capabilities that the agent offers. Their field Available may or may not
// include the grant, so Admit checks the policy of the Node itself.
func Admit(d *v1alpha1.CapabilityDispatch, node *v1alpha1.Node, declared []v1alpha1.NodeCapability, now time.Time) Verdict {
	settle := func(phase v1alpha1.DispatchPhase, code, message string) Verdict {
		return Verdict{Kind: VerdictSettle, Status: finishUnstarted(d.Status, phase, code, message, now)}
	}
	code, message := nodeDeletedOrRevoked(node)
	switch {
	case Finished(d.Status):
		return Verdict{Kind: VerdictDone}
	case Accepted(d.Status): // accepted earlier, according to a newer journal than the present one
		return Verdict{Kind: VerdictSettle, Status: finishJournalReset(d, now)}
	case code != "":
		return settle(v1alpha1.DispatchRejected, code, message)
	case d.Spec.Cancel:
		return settle(v1alpha1.DispatchCancelled, v1alpha1.ErrorCancelled, messageCancelled)
	case !now.Before(ExpiryTime(d)):
		return settle(v1alpha1.DispatchTimedOut, v1alpha1.ErrorExpired, expiredMessage(d))
	case node.Spec.DesiredState == v1alpha1.NodeSuspended, !SpecProven(node):
		return Verdict{Kind: VerdictWait}
	}
	if reason := validateInput(d.Spec.Input); reason != "" {
		return settle(v1alpha1.DispatchRejected, v1alpha1.ErrorInvalidInput, reason)
	}
	if code, message := capabilityRefusal(d.Spec.Capability, node, declared); code != "" {
		return settle(v1alpha1.DispatchRejected, code, message)
	}
	return Verdict{Kind: VerdictOffer}
}

// validateInput returns the reason why an input is never offered, or "". It counts the bytes without
// the escapes that the API server adds.
func validateInput(input *v1alpha1.JSON) string {
	if input == nil {
		return ""
	}
	if len(input.Raw) > MaxInputBytes {
		if size := len(jsontext.StripEscapes(input.Raw)); size > MaxInputBytes {
			return fmt.Sprintf("spec.input is %d bytes long, a machine takes at most %d: put it where the machine can fetch it", size, MaxInputBytes)
		}
	}
	if number := jsontext.FindBeyondInt64(input.Raw); number != "" {
		return fmt.Sprintf("spec.input holds the number %s, which is beyond int64: the API server may have rounded it, so write it as a string", shortenNumber(number))
	}
	return ""
}

// capabilityRefusal returns why the Node may not or cannot run the capability; the code is empty if
// it can.
func capabilityRefusal(capability string, node *v1alpha1.Node, declared []v1alpha1.NodeCapability) (code, message string) {
	at := slices.IndexFunc(declared, func(c v1alpha1.NodeCapability) bool { return c.Name == capability })
	switch {
	case at < 0:
		return v1alpha1.ErrorUnknownCapability,
			fmt.Sprintf("the agent of node %q has no capability %q: see status.capabilities of the Node", node.Name, capability)
	case !Granted(node.Spec.CapabilityPolicy, capability):
		return v1alpha1.ErrorNotGranted, notGrantedMessage(node.Name, capability)
	case !declared[at].Available && declared[at].Reason != v1alpha1.ErrorNotGranted:
		return v1alpha1.ErrorCapabilityUnavailable,
			fmt.Sprintf("capability %q cannot run on node %q now: %s", capability, node.Name, valueOr(declared[at].Reason, "the agent gave no reason"))
	}
	return "", ""
}

const (
	messageDeleted   = "the Node was deleted before the dispatch started"
	messageRevoked   = "the Node was revoked before the dispatch started"
	messageCancelled = "spec.cancel was set before the dispatch started"
)

func expiredMessage(d *v1alpha1.CapabilityDispatch) string {
	return fmt.Sprintf("not started within %d s of its creation (spec.expirySeconds)", d.Spec.ExpirySeconds)
}

func valueOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
