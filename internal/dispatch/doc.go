// Package dispatch is the state machine of a CapabilityDispatch. It defines the permitted
// transitions, their writers, and which statements about a run are proven. It is pure: functions
// take values and return new values, take times as parameters, and never change an argument.
//
// The gateway that holds the session of a Node settles its dispatches (Admit, Claim, Settle and the
// steps between them). Without a session the leader settles them ([DecideLeaderless]). Execution
// contains only proven statements: NotStarted needs one of the proofs listed at
// [Facts.ProvenUnstarted].
package dispatch
