package gatewayv1

// ErrorDomain is the domain of every google.rpc.ErrorInfo of a gateway.
const ErrorDomain = "mooring.dev"

// Reasons of google.rpc.ErrorInfo in the denials of a gateway, and the keys of its metadata. Peers
// ignore reasons that they do not know. A gateway of an earlier version sends most denials without a
// reason. The codes Canceled and DeadlineExceeded never have a reason: a broken network causes them,
// and an agent takes a status with a reason for the answer of a gateway.
const (
	// ReasonSaidByGateway marks a status that has no other reason. Agents distinguish it from the
	// status of a broken connection.
	ReasonSaidByGateway = "SaidByGateway"

	// ReasonCodeVerified means that CompletePairingSession verified the code of the machine and
	// refuses for another reason, which costs no try. MetadataConfirmation proves it.
	ReasonCodeVerified = "CODE_VERIFIED"
	// MetadataConfirmation is the gateway's confirmation of the exchange, in hex.
	MetadataConfirmation = "confirmation"

	// ReasonCertificateNotExpired means that RecoverCertificate was called with a certificate that
	// is valid by the clock of the gateway. MetadataGatewayTime holds the time of that clock.
	ReasonCertificateNotExpired = "CERTIFICATE_NOT_EXPIRED"
	// MetadataGatewayTime is the time of the gateway, RFC 3339.
	MetadataGatewayTime = "gatewayTime"
)

// Reasons that concern the Node and the identity of a machine.
const (
	// ReasonNodeRevoked means that the Node of the machine is revoked, which is final.
	ReasonNodeRevoked = "NODE_REVOKED"
	// ReasonNodeDeleted means that the Node of the machine is being deleted or was deleted.
	ReasonNodeDeleted = "NODE_DELETED"
	// ReasonNodeNotFound means that there is no Node for the certificate of the machine.
	ReasonNodeNotFound = "NODE_NOT_FOUND"
	// ReasonKeyNotPinned means that the Node pins another key.
	ReasonKeyNotPinned = "KEY_NOT_PINNED"
	// ReasonIdentityGivenUp means that the machine revoked its own pairing.
	ReasonIdentityGivenUp = "IDENTITY_GIVEN_UP"
	// ReasonProofInvalid means that a proof is not a signature by the required key.
	ReasonProofInvalid = "PROOF_INVALID"
	// ReasonTLSRequired means that the call came without TLS.
	ReasonTLSRequired = "TLS_REQUIRED"
	// ReasonCertificateRequired means that the call came without a client certificate.
	ReasonCertificateRequired = "CERTIFICATE_REQUIRED"
	// ReasonCertificateExpired means that the certificate of the connection expired.
	ReasonCertificateExpired = "CERTIFICATE_EXPIRED"
	// ReasonMethodNotAllowed means that the listener does not serve the method.
	ReasonMethodNotAllowed = "METHOD_NOT_ALLOWED"
)

// Reasons that concern requests and their number.
const (
	// ReasonRateLimited means that the machine or its address calls too often.
	ReasonRateLimited = "RATE_LIMITED"
	// ReasonInvalidRequest means that a field of the request is missing or invalid.
	ReasonInvalidRequest = "INVALID_REQUEST"
	// ReasonInvalidCSR means that the certificate signing request is invalid.
	ReasonInvalidCSR = "INVALID_CSR"
	// ReasonProtocolTooOld means that the protocol version of the agent is not supported any more.
	ReasonProtocolTooOld = "PROTOCOL_TOO_OLD"
)

// Reasons that concern the gateway and its cluster.
const (
	// ReasonGatewayDraining means that the gateway shuts down.
	ReasonGatewayDraining = "GATEWAY_DRAINING"
	// ReasonGatewayNotReady means that the gateway may not open sessions yet.
	ReasonGatewayNotReady = "GATEWAY_NOT_READY"
	// ReasonPolicyUnproven means that the admission policies of the cluster are not proven.
	ReasonPolicyUnproven = "POLICY_UNPROVEN"
	// ReasonClusterUnreachable means that the gateway cannot reach the API server of its cluster.
	ReasonClusterUnreachable = "CLUSTER_UNREACHABLE"
	// ReasonNodeContended means that the Node changed during every attempt to write it.
	ReasonNodeContended = "NODE_CONTENDED"
	// ReasonInternal means an internal error; the log of the gateway has the details.
	ReasonInternal = "INTERNAL"
)

// Reasons that concern sessions.
const (
	// ReasonNotRegistered means that RegisterNode was not called before the session.
	ReasonNotRegistered = "NOT_REGISTERED"
	// ReasonSessionReplaced means that a newer session of the Node replaced this one.
	ReasonSessionReplaced = "SESSION_REPLACED"
	// ReasonSessionUnknown means that the gateway has no session with the id of the poll.
	ReasonSessionUnknown = "SESSION_UNKNOWN"
	// ReasonSessionTooOld means that the session reached its maximum age.
	ReasonSessionTooOld = "SESSION_TOO_OLD"
	// ReasonSessionLost means that the controller recorded the session as lost.
	ReasonSessionLost = "SESSION_LOST"
	// ReasonMachineNotReading means that too many messages wait for the machine.
	ReasonMachineNotReading = "MACHINE_NOT_READING"
)

// Reasons that concern certificates and pairing.
const (
	// ReasonKeyNotCurrent means that a rotation was requested with a key that is not the pin yet.
	ReasonKeyNotCurrent = "KEY_NOT_CURRENT"
	// ReasonCertificatePending means that the issuer has not answered yet.
	ReasonCertificatePending = "CERTIFICATE_PENDING"
	// ReasonCertificateRefused means that the controller refused to issue a certificate.
	ReasonCertificateRefused = "CERTIFICATE_REFUSED"
	// ReasonChainInvalid means that the chain is not of a device of this installation.
	ReasonChainInvalid = "CHAIN_INVALID"
	// ReasonRecoveryDenied means that the identity cannot be recovered.
	ReasonRecoveryDenied = "RECOVERY_DENIED"
	// ReasonCodeNotAccepted means that the pairing code is unknown, wrong, spent or expired.
	ReasonCodeNotAccepted = "CODE_NOT_ACCEPTED"
	// ReasonExchangeNotFound means that the connection has no such pairing exchange.
	ReasonExchangeNotFound = "EXCHANGE_NOT_FOUND"
	// ReasonPairingRequestNotFound means that the key has no such pairing request.
	ReasonPairingRequestNotFound = "PAIRING_REQUEST_NOT_FOUND"
	// ReasonPairingRequestTaken means that another key has the pairing request of this name.
	ReasonPairingRequestTaken = "PAIRING_REQUEST_TAKEN"
	// ReasonPairingRequestNotStored means that the cluster does not store the pairing request now.
	ReasonPairingRequestNotStored = "PAIRING_REQUEST_NOT_STORED"
	// ReasonNameTaken means that the name of the Node belongs to another key or to a revoked Node.
	ReasonNameTaken = "NAME_TAKEN"
	// ReasonAccountRefused means that the ServiceAccount or its token is not accepted.
	ReasonAccountRefused = "ACCOUNT_REFUSED"
)
