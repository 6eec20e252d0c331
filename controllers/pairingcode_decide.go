package controllers

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

const (
	// retention is how long terminal codes and requests are kept for users to read.
	retention = 24 * time.Hour
	// tryWindow is how long a try may be in flight. A gateway counts a right confirmation as a try
	// first, and gives it back when it consumes the code. A recent third try therefore proves
	// nothing yet.
	tryWindow = 2 * time.Second
	// orphanedUse is how long a record waits for the request of a machine whose gateway died in
	// between. It counts from the use or the expiry of the code, whichever is later.
	orphanedUse = time.Hour
)

// codeVerdict is the decision about an active code.
type codeVerdict struct {
	phase        v1alpha1.PairingCodePhase
	reason       string
	message      string
	attemptsLeft int32
	usedBy       string
	dropRecord   bool          // before the phase is written, so that no gateway disagrees
	again        time.Duration // requeue delay; 0: an event follows
}

// decideCode decides the phase of an active code. record is its live record, or nil.
func decideCode(code *v1alpha1.PairingCode, record *pairingRecord, now time.Time) codeVerdict {
	expires := codeExpires(code)
	if record == nil {
		return codeVerdict{phase: v1alpha1.PairingCodeExpired, reason: v1alpha1.ReasonCodeExpired,
			message: "the password record of the code is gone: create another PairingCode"}
	}
	left := int32(max(0, v1alpha1.MaxPairingTries-record.triesUsed))
	if record.consumedBy != "" {
		return codeVerdict{phase: v1alpha1.PairingCodeUsed, reason: v1alpha1.ReasonCodeUsed, attemptsLeft: left,
			usedBy: record.requestName, message: fmt.Sprintf("a machine used the code: see PairingRequest %q", record.requestName)}
	}
	if flight := record.written.Add(tryWindow).Sub(now); record.triesUsed > 0 && flight > 0 {
		return codeVerdict{phase: v1alpha1.PairingCodeActive, again: min(flight, tryWindow), attemptsLeft: attemptsLeft(code)}
	}
	switch {
	case left == 0:
		return codeVerdict{phase: v1alpha1.PairingCodeBurnt, reason: v1alpha1.ReasonCodeBurnt, dropRecord: true,
			message: fmt.Sprintf("%d wrong codes were tried: create another PairingCode", v1alpha1.MaxPairingTries)}
	case !now.Before(expires):
		return codeVerdict{phase: v1alpha1.PairingCodeExpired, reason: v1alpha1.ReasonCodeExpired, attemptsLeft: left, dropRecord: true,
			message: fmt.Sprintf("the code was not used within %d seconds: create another PairingCode", code.Spec.TTLSeconds)}
	default:
		return codeVerdict{phase: v1alpha1.PairingCodeActive, attemptsLeft: left, again: expires.Sub(now)}
	}
}

// attemptsLeft returns the number of attempts left according to the status.
func attemptsLeft(code *v1alpha1.PairingCode) int32 {
	if code.Status.AttemptsLeft == nil {
		return v1alpha1.MaxPairingTries
	}
	return *code.Status.AttemptsLeft
}

// codeExpires returns the time at which a code stops being valid.
func codeExpires(code *v1alpha1.PairingCode) time.Time {
	return code.CreationTimestamp.Add(time.Duration(code.Spec.TTLSeconds) * time.Second)
}

// codeRest is the cleanup that a terminal code still needs.
type codeRest struct {
	dropRecord bool
	delete     bool
	again      time.Duration
}

// decideRest decides when the record and the object of a terminal code are deleted. record and
// request are nil if they do not exist. The record of a used code is needed until the request is
// terminal.
func decideRest(code *v1alpha1.PairingCode, record *pairingRecord, request *v1alpha1.PairingRequest, now time.Time) codeRest {
	if code.Status.Phase == v1alpha1.PairingCodeUsed && !useIsOver(code, record, request, now) {
		if request == nil {
			return codeRest{again: orphanedUse / 4}
		}
		return codeRest{} // an event of the request follows
	}
	rest := codeRest{dropRecord: record != nil}
	if keep := codeEnded(code).Add(retention).Sub(now); keep > 0 {
		rest.again = keep
		return rest
	}
	rest.delete = true
	return rest
}

func useIsOver(code *v1alpha1.PairingCode, record *pairingRecord, request *v1alpha1.PairingRequest, now time.Time) bool {
	switch {
	case request != nil:
		return requestTerminal(request.Status.Phase)
	case record == nil:
		return true
	default:
		since := codeExpires(code)
		if record.written.After(since) {
			since = record.written
		}
		return now.After(since.Add(orphanedUse))
	}
}

// codeEnded returns the time at which the code became terminal.
func codeEnded(code *v1alpha1.PairingCode) time.Time {
	return endedAt(code.Status.Conditions, v1alpha1.ConditionReady, code.CreationTimestamp)
}

// endedAt returns the time of the last transition of a condition, or the creation time of the
// object.
func endedAt(conditions []metav1.Condition, kind string, created metav1.Time) time.Time {
	for _, condition := range conditions {
		if condition.Type == kind {
			return condition.LastTransitionTime.Time
		}
	}
	return created.Time
}
