package v1alpha1

import "github.com/mooring-dev/mooring/api/errorcode"

// Condition types. Each comment describes the status True; "abnormal" ones exist only while True.
const (
	// ConditionReady (Node): Active, Trusted and Online or Degraded. (PairingCode): the code and
	// its password record exist and can be used.
	ConditionReady = "Ready"
	// ConditionStalled (Node, PairingCode, PairingRequest; abnormal): the controller cannot
	// continue with the object. The message contains the error of the API server. The controller
	// retries automatically, at least every 30 seconds.
	ConditionStalled = "Stalled"
	// ConditionConnected (Node): a recorded session is live.
	ConditionConnected = "Connected"
	// ConditionCertificateValid (Node): the newest certificate is within its validity.
	ConditionCertificateValid = "CertificateValid"
	// ConditionCapabilityReviewRequired (Node, abnormal): the agent declares capabilities that its
	// policy neither allows nor denies.
	ConditionCapabilityReviewRequired = "CapabilityReviewRequired"
	// ConditionSpecUnproven (Node, abnormal): keys or capabilityPolicy were written while the
	// admission policies were not proven. The unproven values are not used.
	ConditionSpecUnproven = "SpecUnproven"
	// ConditionClockSkew (Node, abnormal): the clock of the machine is off by a minute or more.
	ConditionClockSkew = "ClockSkew"
	// ConditionRevocationRequested (Node, abnormal): the machine requested the revocation of its
	// identity. The condition is informational: the controller decides by the signature in
	// status.revocationRequest.
	ConditionRevocationRequested = "RevocationRequested"
	// ConditionSuspectedClone (Node, abnormal): two machines seem to use the same identity. Its
	// transition time is the time of the last sign. The condition is removed a day later.
	ConditionSuspectedClone = "SuspectedClone"

	// ConditionApproved (PairingRequest): an approver approved the request; False: denied or
	// undecided in time.
	ConditionApproved = "Approved"
	// ConditionIssued (PairingRequest): the first certificate is published.
	ConditionIssued = "Issued"
	// ConditionCompleted (PairingRequest): the machine has its certificate. With False, the message
	// is the cause.
	ConditionCompleted = "Completed"

	// ConditionWithdrawn (CapabilityDispatch): the dispatch may no longer run, and the gateway
	// asked its machine to cancel it. The reason is the error code with which the dispatch will
	// end.
	ConditionWithdrawn = "Withdrawn"
	// ConditionDelivered (CapabilityDispatch): the agent has accepted it.
	ConditionDelivered = "Delivered"
	// ConditionComplete (CapabilityDispatch): the phase is terminal; the reason is the phase or the
	// error code.
	ConditionComplete = "Complete"
)

// Reasons of the condition Stalled and of the events that go with it.
const (
	// ReasonWriteRefused means that the API server refused a write of the controller: a quota, a
	// policy, a webhook, a size limit or a missing right.
	ReasonWriteRefused = "WriteRefused"
	// ReasonReconcileFailed means that the controller failed several consecutive times.
	ReasonReconcileFailed = "ReconcileFailed"
)

// Reasons of Node conditions and events.
const (
	// ReasonReady means that the Node accepts dispatches.
	ReasonReady = "Ready"
	// ReasonSessionStarted means that a session was recorded.
	ReasonSessionStarted = "SessionStarted"
	// ReasonSessionEnded means that the agent or the gateway closed the session properly.
	ReasonSessionEnded = "SessionEnded"
	// ReasonSessionLost means that the connection broke or went silent.
	ReasonSessionLost = "SessionLost"
	// ReasonSessionReplaced means that a newer session of the same Node took over.
	ReasonSessionReplaced = "SessionReplaced"
	// ReasonGatewayLost means that the Lease of the gateway expired.
	ReasonGatewayLost = "GatewayLost"
	// ReasonNeverConnected means that there was no session yet.
	ReasonNeverConnected = "NeverConnected"
	// ReasonOffline means that no session is live.
	ReasonOffline = "Offline"
	// ReasonRegistered means that the machine sent its description.
	ReasonRegistered = "Registered"
	// ReasonCapabilityUnavailable means that a granted capability cannot run at present.
	ReasonCapabilityUnavailable = "CapabilityUnavailable"
	// ReasonCapabilitiesNotGranted means that declared capabilities lack a grant.
	ReasonCapabilitiesNotGranted = "CapabilitiesNotGranted"
	// ReasonSpecAdopted means that the guarded fields of existing Nodes were adopted as proven when
	// the record of proofs began.
	ReasonSpecAdopted = "SpecAdopted"
	// ReasonNodeSuspended means that a user suspended the Node.
	ReasonNodeSuspended = "NodeSuspended"
	// ReasonCertificatePending means that no certificate has been issued yet.
	ReasonCertificatePending = "CertificatePending"
	// ReasonCertificateIssued means that a certificate was issued.
	ReasonCertificateIssued = "CertificateIssued"
	// ReasonCertificateExpired means that the newest certificate expired.
	ReasonCertificateExpired = "CertificateExpired"
	// ReasonCertificateRefused means that a request for a certificate failed a check.
	ReasonCertificateRefused = "CertificateRefused"
	// ReasonIssuerNotReady means that cert-manager has not answered yet.
	ReasonIssuerNotReady = "IssuerNotReady"
	// ReasonCAReplaced means that an issuer signs with a CA that differs from the trusted CA of its
	// name.
	ReasonCAReplaced = "CAReplaced"
	// ReasonCARestored means that an issuer signs with the trusted CA again.
	ReasonCARestored = "CARestored"
	// ReasonKeyRotated means that the next key became the pin.
	ReasonKeyRotated = "KeyRotated"
	// ReasonClockSkewed means that the clock of the machine is off; the message contains the
	// offset.
	ReasonClockSkewed = "ClockSkewed"
	// ReasonAgentRequested means that the machine itself made the request.
	ReasonAgentRequested = "AgentRequested"
	// ReasonJournalChanged means that the journal differs from the recorded one.
	ReasonJournalChanged = "JournalChanged"
	// ReasonCoreNodeGone means that the core Node of an in-cluster agent is gone.
	ReasonCoreNodeGone = "CoreNodeGone"
	// ReasonDialRepeated means that a second agent dialed with the journal of the live session.
	ReasonDialRepeated = "DialRepeated"
)

// Reasons of PairingCode and PairingRequest conditions and events.
const (
	// ReasonCodeReady means that a machine may pair with the code.
	ReasonCodeReady = "CodeReady"
	// ReasonCodeUsed means that a machine paired with the code.
	ReasonCodeUsed = "CodeUsed"
	// ReasonCodeExpired means that the code expired.
	ReasonCodeExpired = "CodeExpired"
	// ReasonCodeBurnt means that wrong guesses used up all tries.
	ReasonCodeBurnt = "CodeBurnt"
	// ReasonSecretsPending means that the Secrets of the code are not created yet.
	ReasonSecretsPending = "SecretsPending"
	// ReasonAwaitingDecision means that an approver has to decide.
	ReasonAwaitingDecision = "AwaitingDecision"
	// ReasonApproved means that an approver approved the request.
	ReasonApproved = "Approved"
	// ReasonAutoApproved means that the controller approved the request because of a code or a
	// rule.
	ReasonAutoApproved = "AutoApproved"
	// ReasonDenied means that an approver denied the request.
	ReasonDenied = "Denied"
	// ReasonRequestExpired means that no decision was made in time.
	ReasonRequestExpired = "RequestExpired"
	// ReasonNameTaken means that the requested name belongs to another key.
	ReasonNameTaken = "NameTaken"
	// ReasonKeyMismatch means that the fingerprint or the verification code does not match the key.
	ReasonKeyMismatch = "KeyMismatch"
	// ReasonCodeMismatch means that the code was not consumed by this key.
	ReasonCodeMismatch = "CodeMismatch"
	// ReasonCodeNotFound means that the code of the request does not exist.
	ReasonCodeNotFound = "CodeNotFound"
	// ReasonServiceAccountRefused means that the token or the rules do not admit the agent.
	ReasonServiceAccountRefused = "ServiceAccountRefused"
	// ReasonAwaitingCertificateRequest means that the machine has to send its certificate request.
	ReasonAwaitingCertificateRequest = "AwaitingCertificateRequest"
	// ReasonAwaitingCertificate means that cert-manager has to sign.
	ReasonAwaitingCertificate = "AwaitingCertificate"
	// ReasonNotCollected means that an approved machine did not fetch its certificate in time.
	ReasonNotCollected = "NotCollected"
	// ReasonCompleted means that the machine has its certificate.
	ReasonCompleted = "Completed"
)

// Error codes of CapabilityDispatch, used as condition reasons too.
const (
	// ErrorNodeRevoked means that the Node was revoked before or while the dispatch ran.
	ErrorNodeRevoked = errorcode.NodeRevoked
	// ErrorNodeDeleted means that the Node was deleted before or while the dispatch ran.
	ErrorNodeDeleted = errorcode.NodeDeleted
	// ErrorNodeNotFound means that no Node of that name was created in time.
	ErrorNodeNotFound = errorcode.NodeNotFound
	// ErrorUnknownCapability means that the agent does not have the capability.
	ErrorUnknownCapability = errorcode.UnknownCapability
	// ErrorNotGranted means that the policy of the Node does not grant the capability.
	ErrorNotGranted = errorcode.NotGranted
	// ErrorNoLongerAllowed means that the right to invoke the capability was lost while the
	// dispatch waited: the requester lost it, or the requesting ServiceAccount was deleted.
	ErrorNoLongerAllowed = errorcode.NoLongerAllowed
	// ErrorCapabilityUnavailable means that the machine lacks something that the granted capability
	// needs.
	ErrorCapabilityUnavailable = errorcode.CapabilityUnavailable
	// ErrorInvalidInput means that the input violates the schema of the capability or is too large.
	ErrorInvalidInput = errorcode.InvalidInput
	// ErrorInvalidOutput means that the output of the capability is not a JSON value.
	ErrorInvalidOutput = errorcode.InvalidOutput
	// ErrorCapabilityFailed means that the capability returned an error.
	ErrorCapabilityFailed = errorcode.CapabilityFailed
	// ErrorMediationDenied means that the person at the machine refused.
	ErrorMediationDenied = errorcode.MediationDenied
	// ErrorMediationTimedOut means that no person at the machine answered in time.
	ErrorMediationTimedOut = errorcode.MediationTimedOut
	// ErrorAgentRestarted means that the agent stopped during the run.
	ErrorAgentRestarted = errorcode.AgentRestarted
	// ErrorJournalReset means that the journal of the machine was lost, old or foreign.
	ErrorJournalReset = errorcode.JournalReset
	// ErrorJournalFull means that the journal of the agent has no room for another run.
	ErrorJournalFull = errorcode.JournalFull
	// ErrorQueueFull means that too many unfinished dispatches wait for the Node.
	ErrorQueueFull = errorcode.QueueFull
	// ErrorPolicyUnproven means that the admission policies were not proven when the object was
	// created.
	ErrorPolicyUnproven = errorcode.PolicyUnproven
	// ErrorExpired means that expirySeconds passed before the capability started.
	ErrorExpired = errorcode.Expired
	// ErrorTimeout means that timeoutSeconds passed before the capability finished.
	ErrorTimeout = errorcode.Timeout
	// ErrorCancelled means that spec.cancel ended the dispatch.
	ErrorCancelled = errorcode.Cancelled
	// ErrorInternal means that an internal error occurred; neither the input nor the machine caused
	// it.
	ErrorInternal = errorcode.Internal
)
