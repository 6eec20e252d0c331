// Package dispatch is the state machine of a CapabilityDispatch: what may follow what, who may
// write it, and what is proven about the run. It is pure: values go in, new values come out,
// times are passed in, and nothing is ever changed in place.
//
// Whoever holds the session of a Node settles its dispatches (Admit, Claim, Settle and the steps
// between); without a session the leader does (Leaderless). Execution says only what is proven:
// NotStarted needs one of the proofs listed at Facts.Unstarted.
package dispatch
