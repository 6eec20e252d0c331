// Package policy proves that the admission policies of Mooring work, and publishes the result.
//
// A binding whose policy is missing or does not compile admits everything, silently. Therefore the
// leading controller (Prover) checks every minute. It compares the live policies with the shipped
// ones and creates forged objects as dry runs. The proof is the renew time of the Lease
// v1alpha1.PolicyProofLease. Gateways offer, and the controller approves and issues, only while
// their Gate reports that the proof is fresh.
//
// A proof also holds the UID and generation of every policy and binding. As long as they stay the
// same, the proofs form an Epoch. A Record stores the Epochs, and an object counts only if an Epoch
// covers the time at which it was written.
package policy

import "time"

const (
	// AnnotationFailure on the proof Lease holds the fault that the last attempt found; a proof
	// removes it.
	AnnotationFailure = "mooring.dev/policy-proof-failure"
	// AnnotationEpoch on the proof Lease names the Epoch of the last proof.
	AnnotationEpoch = "mooring.dev/policy-proof-epoch"

	// Freshness is how long a proof is valid.
	Freshness = 3 * time.Minute
	// interval is the time between proofs; retryInterval is the delay after an attempt without a
	// proof.
	interval      = time.Minute
	retryInterval = 5 * time.Second
	// confirmInterval is the delay after the first proof of an Epoch.
	confirmInterval = ClockMargin + stampPrecision
	// requestInterval is the minimum time between a proof and a requested proof.
	requestInterval = 500 * time.Millisecond
)
