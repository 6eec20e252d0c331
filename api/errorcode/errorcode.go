// Package errorcode holds the error codes of dispatches. The Kubernetes API exports them and the agent
// sends them. It imports nothing, because the agent must not depend on Kubernetes.
package errorcode

// Error codes of a dispatch.
const (
	// NodeRevoked means that the Node was revoked before or while the dispatch ran.
	NodeRevoked = "NodeRevoked"
	// NodeDeleted means that the Node was deleted before or while the dispatch ran.
	NodeDeleted = "NodeDeleted"
	// NodeNotFound means that no Node of that name was created in time.
	NodeNotFound = "NodeNotFound"
	// UnknownCapability means that the agent does not have the capability.
	UnknownCapability = "UnknownCapability"
	// NotGranted means that the policy of the Node does not grant the capability.
	NotGranted = "NotGranted"
	// NoLongerAllowed means that the right to invoke the capability was lost while the
	// dispatch waited: the requester lost it, or the requesting ServiceAccount was deleted.
	NoLongerAllowed = "NoLongerAllowed"
	// CapabilityUnavailable means that the machine lacks something that the granted capability
	// needs.
	CapabilityUnavailable = "CapabilityUnavailable"
	// InvalidInput means that the input violates the schema of the capability or is too large.
	InvalidInput = "InvalidInput"
	// InvalidOutput means that the output of the capability is not a JSON value.
	InvalidOutput = "InvalidOutput"
	// CapabilityFailed means that the capability returned an error.
	CapabilityFailed = "CapabilityFailed"
	// MediationDenied means that the person at the machine refused.
	MediationDenied = "MediationDenied"
	// MediationTimedOut means that no person at the machine answered in time.
	MediationTimedOut = "MediationTimedOut"
	// AgentRestarted means that the agent stopped during the run.
	AgentRestarted = "AgentRestarted"
	// JournalReset means that the journal of the machine was lost, old or foreign.
	JournalReset = "JournalReset"
	// JournalFull means that the journal of the agent has no room for another run.
	JournalFull = "JournalFull"
	// QueueFull means that too many unfinished dispatches wait for the Node.
	QueueFull = "QueueFull"
	// PolicyUnproven means that the admission policies were not proven when the object was
	// created.
	PolicyUnproven = "PolicyUnproven"
	// Expired means that expirySeconds passed before the capability started.
	Expired = "Expired"
	// Timeout means that timeoutSeconds passed before the capability finished.
	Timeout = "Timeout"
	// Cancelled means that spec.cancel ended the dispatch.
	Cancelled = "Cancelled"
	// Internal means that an internal error occurred; neither the input nor the machine caused
	// it.
	Internal = "Internal"
)
