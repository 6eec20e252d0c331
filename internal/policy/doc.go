// Package policy proves that the admission policies of Mooring work, and tells everybody else.
//
// A binding whose policy is missing or does not compile admits everything, silently. So the
// leading controller (Prover) compares the live policies with the shipped ones and tries forged
// objects, as dry runs, every minute. The proof is the renew time of the Lease
// v1alpha1.PolicyProofLease. Gateways offer, and the controller approves and issues, only while
// their Gate says that the proof is fresh.
//
// A proof also holds the UID and generation of every policy and binding. As long as they stay the
// same, the proofs form an Epoch; a Record keeps the Epochs, and an object counts only if one of
// them covers the moment it was written.
package policy

import "time"

const (
	// AnnotationFailure on the proof Lease says what was wrong when the last try disproved the
	// policies; absent after a proof.
	AnnotationFailure = "mooring.dev/policy-proof-failure"
	// AnnotationEpoch on the proof Lease names the Epoch of the last proof.
	AnnotationEpoch = "mooring.dev/policy-proof-epoch"

	// Freshness is how long a proof counts.
	Freshness = 3 * time.Minute
	// interval is the time between proofs; retryInterval follows a try that was no proof.
	interval      = time.Minute
	retryInterval = 5 * time.Second
	// confirmInterval follows the first proof of an Epoch.
	confirmInterval = ClockMargin + stampPrecision
	// requestInterval is the least time between a proof and one that was requested.
	requestInterval = 500 * time.Millisecond
)
