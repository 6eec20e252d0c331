package pairingcode

import (
	"fmt"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/status"
)

const (
	// Retention is how long terminal codes and requests are kept for users to read.
	Retention = 24 * time.Hour
	// tryInFlightTime is how long a try may be in flight. A gateway counts a right confirmation as
	// a try first, and gives it back when it consumes the code. A recent third try therefore proves
	// nothing yet.
	tryInFlightTime = 2 * time.Second
	// orphanedUseGrace is how long a record waits for the request of a machine. Its gateway may
	// have died between the use of the code and the creation of the request. The time counts from
	// the use or the expiry of the code, whichever is later.
	orphanedUseGrace = time.Hour
)

// codeVerdict is the decision about an active code.
type codeVerdict struct {
	phase        v1alpha1.PairingCodePhase
	reason       string
	message      string
	attemptsLeft int32
	usedBy       string
	deleteRecord bool          // before the phase is written, so that no gateway disagrees
	requeueAfter time.Duration // requeue delay; 0: an event follows
}

// decideCode decides the phase of an active code. record is its live record, or nil.
func decideCode(code *v1alpha1.PairingCode, record *Record, now time.Time) codeVerdict {
	expires := codeExpiry(code)
	if record == nil {
		return codeVerdict{phase: v1alpha1.PairingCodeExpired, reason: v1alpha1.ReasonCodeExpired,
			message: "the password record of the code is gone: create another PairingCode"}
	}
	remaining := int32(max(0, v1alpha1.MaxPairingTries-record.TriesUsed))
	if record.ConsumedBy != "" {
		return codeVerdict{phase: v1alpha1.PairingCodeUsed, reason: v1alpha1.ReasonCodeUsed, attemptsLeft: remaining,
			usedBy: record.RequestName, message: fmt.Sprintf("a machine used the code: see PairingRequest %q", record.RequestName)}
	}
	if inFlight := record.Written.Add(tryInFlightTime).Sub(now); record.TriesUsed > 0 && inFlight > 0 {
		return codeVerdict{phase: v1alpha1.PairingCodeActive, requeueAfter: min(inFlight, tryInFlightTime), attemptsLeft: attemptsLeft(code)}
	}
	switch {
	case remaining == 0:
		return codeVerdict{phase: v1alpha1.PairingCodeBurnt, reason: v1alpha1.ReasonCodeBurnt, deleteRecord: true,
			message: fmt.Sprintf("%d wrong codes were tried: create another PairingCode", v1alpha1.MaxPairingTries)}
	case !now.Before(expires):
		return codeVerdict{phase: v1alpha1.PairingCodeExpired, reason: v1alpha1.ReasonCodeExpired, attemptsLeft: remaining, deleteRecord: true,
			message: fmt.Sprintf("the code was not used within %d seconds: create another PairingCode", code.Spec.TTLSeconds)}
	default:
		return codeVerdict{phase: v1alpha1.PairingCodeActive, attemptsLeft: remaining, requeueAfter: expires.Sub(now)}
	}
}

// attemptsLeft returns the number of attempts left according to the status.
func attemptsLeft(code *v1alpha1.PairingCode) int32 {
	if code.Status.AttemptsLeft == nil {
		return v1alpha1.MaxPairingTries
	}
	return *code.Status.AttemptsLeft
}

// codeExpiry returns the time at which a code stops being valid.
func codeExpiry(code *v1alpha1.PairingCode) time.Time {
	return code.CreationTimestamp.Add(time.Duration(code.Spec.TTLSeconds) * time.Second)
}

// codeCleanup is the cleanup that a terminal code still needs.
type codeCleanup struct {
	deleteRecord bool
	delete       bool
	requeueAfter time.Duration
}

// decideCleanup decides when the record and the object of a terminal code are deleted. record and
// request are nil if they do not exist. The record of a used code is needed until the request is
// terminal.
func decideCleanup(code *v1alpha1.PairingCode, record *Record, request *v1alpha1.PairingRequest, now time.Time) codeCleanup {
	if code.Status.Phase == v1alpha1.PairingCodeUsed && !useEnded(code, record, request, now) {
		if request == nil {
			return codeCleanup{requeueAfter: orphanedUseGrace / 4}
		}
		return codeCleanup{} // an event of the request follows
	}
	cleanup := codeCleanup{deleteRecord: record != nil}
	if keep := codeEndTime(code).Add(Retention).Sub(now); keep > 0 {
		cleanup.requeueAfter = keep
		return cleanup
	}
	cleanup.delete = true
	return cleanup
}

func useEnded(code *v1alpha1.PairingCode, record *Record, request *v1alpha1.PairingRequest, now time.Time) bool {
	switch {
	case request != nil:
		return RequestTerminal(request.Status.Phase)
	case record == nil:
		return true
	default:
		since := codeExpiry(code)
		if record.Written.After(since) {
			since = record.Written
		}
		return now.After(since.Add(orphanedUseGrace))
	}
}

// codeEndTime returns the time at which the code became terminal.
func codeEndTime(code *v1alpha1.PairingCode) time.Time {
	return status.EndedAt(code.Status.Conditions, v1alpha1.ConditionReady, code.CreationTimestamp)
}

// RequestTerminal reports whether a phase is final.
func RequestTerminal(phase v1alpha1.PairingRequestPhase) bool {
	switch phase {
	case v1alpha1.PairingRequestDenied, v1alpha1.PairingRequestCompleted, v1alpha1.PairingRequestExpired, v1alpha1.PairingRequestFailed:
		return true
	default:
		return false
	}
}
