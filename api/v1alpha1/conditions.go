package v1alpha1

// Condition types. Each says what True means; "abnormal" ones are present only while True.
const (
	// ConditionReady (Node): Active, Trusted and Online or Degraded. (PairingCode): the code
	// and its password record exist and may be used.
	ConditionReady = "Ready"
	// ConditionStalled (Node, PairingCode, PairingRequest; abnormal): the controller cannot go on
	// with the object. The message holds the API server's sentence. The controller tries again by
	// itself, at least every 30 seconds.
	ConditionStalled = "Stalled"
	// ConditionConnected (Node): a session is recorded and live.
	ConditionConnected = "Connected"
	// ConditionCertificateValid (Node): the newest certificate is within its validity.
	ConditionCertificateValid = "CertificateValid"
	// ConditionCapabilityReviewRequired (Node, abnormal): the agent declares more than its
	// policy grants.
	ConditionCapabilityReviewRequired = "CapabilityReviewRequired"
	// ConditionSpecUnproven (Node, abnormal): keys or capabilityPolicy were written while the
	// admission policies were not proven. They are not used.
	ConditionSpecUnproven = "SpecUnproven"
	// ConditionClockSkew (Node, abnormal): the clock of the machine is off by a minute or more.
	ConditionClockSkew = "ClockSkew"
	// ConditionRevocationRequested (Node, abnormal): the machine gave up its identity. A sign for
	// people: what counts is the signature in status.revocationRequest.
	ConditionRevocationRequested = "RevocationRequested"
	// ConditionSuspectedClone (Node, abnormal): two machines seem to use the same identity. Its
	// time is that of the last sign; a day after it the condition goes.
	ConditionSuspectedClone = "SuspectedClone"

	// ConditionApproved (PairingRequest): an approver said yes; False: said no, or nobody did.
	ConditionApproved = "Approved"
	// ConditionIssued (PairingRequest): the first certificate is published.
	ConditionIssued = "Issued"
	// ConditionCompleted (PairingRequest): the machine has its certificate; False says why not.
	ConditionCompleted = "Completed"

	// ConditionWithdrawn (CapabilityDispatch): the dispatch may not run any more, and its machine was
	// asked to cancel it. The reason is the error code that the dispatch will end with.
	ConditionWithdrawn = "Withdrawn"
	// ConditionDelivered (CapabilityDispatch): the agent has accepted it.
	ConditionDelivered = "Delivered"
	// ConditionComplete (CapabilityDispatch): the phase is terminal; the reason is the phase or
	// the error code.
	ConditionComplete = "Complete"
)

// Reasons of the condition Stalled and of the events that go with it.
const (
	// ReasonWriteRefused means that the API server refused a write of the controller: a quota, a
	// policy, a webhook, a size limit or a missing right.
	ReasonWriteRefused = "WriteRefused"
	// ReasonReconcileFailed means that the controller failed several times in a row.
	ReasonReconcileFailed = "ReconcileFailed"
)

// Reasons of Node conditions and events.
const (
	// ReasonReady means that the Node takes dispatches.
	ReasonReady = "Ready"
	// ReasonSessionStarted means that a session was recorded.
	ReasonSessionStarted = "SessionStarted"
	// ReasonSessionEnded means that the agent or the gateway ended the session in good order.
	ReasonSessionEnded = "SessionEnded"
	// ReasonSessionLost means that the connection broke or went silent.
	ReasonSessionLost = "SessionLost"
	// ReasonSessionReplaced means that a newer session of the same Node took over.
	ReasonSessionReplaced = "SessionReplaced"
	// ReasonGatewayLost means that the Lease of the gateway ran out.
	ReasonGatewayLost = "GatewayLost"
	// ReasonNeverConnected means that there was no session yet.
	ReasonNeverConnected = "NeverConnected"
	// ReasonOffline means that no session is live.
	ReasonOffline = "Offline"
	// ReasonRegistered means that the machine sent its description.
	ReasonRegistered = "Registered"
	// ReasonCapabilityUnavailable means that a granted capability cannot run now.
	ReasonCapabilityUnavailable = "CapabilityUnavailable"
	// ReasonCapabilitiesNotGranted means that declared capabilities lack a grant.
	ReasonCapabilitiesNotGranted = "CapabilitiesNotGranted"
	// ReasonSpecAdopted means that guarded fields of Nodes were adopted when the record began.
	ReasonSpecAdopted = "SpecAdopted"
	// ReasonNodeSuspended means that people suspended the Node.
	ReasonNodeSuspended = "NodeSuspended"
	// ReasonCertificatePending means that no certificate was issued yet.
	ReasonCertificatePending = "CertificatePending"
	// ReasonCertificateIssued means that a certificate was issued.
	ReasonCertificateIssued = "CertificateIssued"
	// ReasonCertificateExpired means that the newest certificate ran out.
	ReasonCertificateExpired = "CertificateExpired"
	// ReasonCertificateRefused means that a request for a certificate failed a check.
	ReasonCertificateRefused = "CertificateRefused"
	// ReasonIssuerNotReady means that cert-manager has not answered yet.
	ReasonIssuerNotReady = "IssuerNotReady"
	// ReasonCAReplaced means that an issuer signs with another CA than the trusted one of its name.
	ReasonCAReplaced = "CAReplaced"
	// ReasonCARestored means that it signs with the trusted one again.
	ReasonCARestored = "CARestored"
	// ReasonKeyRotated means that the next key became the pin.
	ReasonKeyRotated = "KeyRotated"
	// ReasonClockSkewed names the offset of the machine's clock.
	ReasonClockSkewed = "ClockSkewed"
	// ReasonAgentRequested means that the machine itself asked.
	ReasonAgentRequested = "AgentRequested"
	// ReasonJournalChanged means that the journal is not the one that was known.
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
	// ReasonCodeExpired means that the code ran out.
	ReasonCodeExpired = "CodeExpired"
	// ReasonCodeBurnt means that wrong guesses spent all tries.
	ReasonCodeBurnt = "CodeBurnt"
	// ReasonSecretsPending means that the Secrets of the code are being made.
	ReasonSecretsPending = "SecretsPending"
	// ReasonAwaitingDecision means that an approver has to decide.
	ReasonAwaitingDecision = "AwaitingDecision"
	// ReasonApproved means that an approver said yes.
	ReasonApproved = "Approved"
	// ReasonAutoApproved means that the controller said yes for a code or a rule.
	ReasonAutoApproved = "AutoApproved"
	// ReasonDenied means that an approver said no.
	ReasonDenied = "Denied"
	// ReasonRequestExpired means that nobody decided in time.
	ReasonRequestExpired = "RequestExpired"
	// ReasonNameTaken means that another key holds the wished name.
	ReasonNameTaken = "NameTaken"
	// ReasonKeyMismatch means that fingerprint or verification code do not fit the key.
	ReasonKeyMismatch = "KeyMismatch"
	// ReasonCodeMismatch means that the code was not consumed by this key.
	ReasonCodeMismatch = "CodeMismatch"
	// ReasonCodeNotFound means that the code of the request does not exist.
	ReasonCodeNotFound = "CodeNotFound"
	// ReasonServiceAccountRefused means that the token or the rules do not admit the agent.
	ReasonServiceAccountRefused = "ServiceAccountRefused"
	// ReasonAwaitingCertificateRequest means that the machine has to send its request.
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
	// ErrorNodeRevoked: the Node was revoked before or while the dispatch ran.
	ErrorNodeRevoked = "NodeRevoked"
	// ErrorNodeDeleted: the Node was deleted before or while the dispatch ran.
	ErrorNodeDeleted = "NodeDeleted"
	// ErrorNodeNotFound: no Node of that name came into being in time.
	ErrorNodeNotFound = "NodeNotFound"
	// ErrorUnknownCapability: the agent does not have the capability.
	ErrorUnknownCapability = "UnknownCapability"
	// ErrorNotGranted: the policy of the Node does not grant the capability.
	ErrorNotGranted = "NotGranted"
	// ErrorNoLongerAllowed: the requester lost the right to invoke the capability, or the
	// ServiceAccount that asked is gone, while the dispatch waited.
	ErrorNoLongerAllowed = "NoLongerAllowed"
	// ErrorCapabilityUnavailable: granted, but something it needs is missing on the machine.
	ErrorCapabilityUnavailable = "CapabilityUnavailable"
	// ErrorInvalidInput: the input does not fit the schema of the capability or is too large.
	ErrorInvalidInput = "InvalidInput"
	// ErrorInvalidOutput: the capability returned something that is no JSON value.
	ErrorInvalidOutput = "InvalidOutput"
	// ErrorCapabilityFailed: the capability returned an error.
	ErrorCapabilityFailed = "CapabilityFailed"
	// ErrorMediationDenied: the person at the machine said no.
	ErrorMediationDenied = "MediationDenied"
	// ErrorMediationTimedOut: nobody at the machine answered in time.
	ErrorMediationTimedOut = "MediationTimedOut"
	// ErrorAgentRestarted: the agent stopped in the middle of the run.
	ErrorAgentRestarted = "AgentRestarted"
	// ErrorJournalReset: the journal of the machine was lost, old or foreign.
	ErrorJournalReset = "JournalReset"
	// ErrorJournalFull: the agent has no room to remember another run.
	ErrorJournalFull = "JournalFull"
	// ErrorQueueFull: too many unfinished dispatches wait for the Node.
	ErrorQueueFull = "QueueFull"
	// ErrorPolicyUnproven: the admission policies were not proven when the object was made.
	ErrorPolicyUnproven = "PolicyUnproven"
	// ErrorExpired: expirySeconds passed before it started.
	ErrorExpired = "Expired"
	// ErrorTimeout: timeoutSeconds passed before it finished.
	ErrorTimeout = "Timeout"
	// ErrorCancelled: spec.cancel won.
	ErrorCancelled = "Cancelled"
	// ErrorInternal: something went wrong that is neither the input nor the machine.
	ErrorInternal = "Internal"
)
