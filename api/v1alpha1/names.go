package v1alpha1

// Finalizers.
const (
	// FinalizerNode keeps a Node until its dispatches and its session have ended.
	FinalizerNode = "mooring.dev/node"
	// FinalizerPairingCode keeps a PairingCode until its password record is deleted.
	FinalizerPairingCode = "mooring.dev/pairing-code"
)

// Field managers of server-side apply.
const (
	// FieldManagerSession owns the session fields of Node.status.
	FieldManagerSession = "mooring-gateway-session"
	// FieldManagerCertificate owns Node.status.certificateRequest.
	FieldManagerCertificate = "mooring-gateway-certificate"
	// FieldManagerController owns the fields that the controller writes, in all kinds.
	FieldManagerController = "mooring-controller"
	// FieldManagerIssuance owns the fields of Node.status about issued certificates: issued,
	// certificateHistory, certificateExpires and the condition CertificateValid. The controller writes
	// them apart from its other fields (trust, presence of an ended session, fingerprintShort, the
	// conditions Ready and CapabilityReviewRequired), because an apply must carry every field of its
	// manager and the two parts are written at different times.
	FieldManagerIssuance = "mooring-controller-certificate"
	// FieldManagerDispatch is the manager of the status writes of gateways to dispatches.
	FieldManagerDispatch = "mooring-gateway"
)

// Namespaces and accounts.
const (
	// SystemNamespace holds the processes, the CAs and the issuers.
	SystemNamespace = "mooring-system"
	// PairingNamespace holds the password records, the only Secrets a gateway may touch.
	PairingNamespace = "mooring-pairing"
	// ControllerServiceAccount is the account of the controller in SystemNamespace.
	ControllerServiceAccount = "mooring-controller"
	// GatewayServiceAccount is the account of the gateways in SystemNamespace.
	GatewayServiceAccount = "mooring-gateway"
	// ProbeServiceAccount is the account that the controller impersonates to prove the admission
	// policies.
	ProbeServiceAccount = "mooring-probe"
)

// Objects of SystemNamespace.
const (
	// TrustConfigMap holds the CA bundles under TrustServerCAKey and TrustDeviceCAKey.
	TrustConfigMap = "mooring-trust"
	// TrustServerCAKey is the bundle that machines use to verify gateways, PEM.
	TrustServerCAKey = "server-ca.crt"
	// TrustDeviceCAKey is the bundle that gateways use to verify machines, PEM.
	TrustDeviceCAKey = "device-ca.crt"
	// ServiceAccountRulesConfigMap defines which ServiceAccounts may enroll into which fleet.
	ServiceAccountRulesConfigMap = "mooring-serviceaccounts"
	// PolicyProofLease is the Lease that the controller renews while the admission policies are
	// proven.
	PolicyProofLease = "mooring-policy-proof"
	// PolicyProofConfigMap holds the controller's record of the times that the proofs cover.
	PolicyProofConfigMap = "mooring-policy-proof"
	// LeaderLease is the leader election Lease of the controller.
	LeaderLease = "mooring-controller"
	// GatewayTLSSecret holds the server certificate of the gateways.
	GatewayTLSSecret = "mooring-gateway-tls"
	// ServerIssuer signs gateway certificates (default of --server-issuer).
	ServerIssuer = "mooring-server-ca"
	// DeviceIssuer signs device certificates (default of --device-issuer).
	DeviceIssuer = "mooring-device-ca"
)

// Labels and annotations.
const (
	// LabelNode is the name of the Node that an object belongs to.
	LabelNode = "mooring.dev/node"
	// LabelNamespace is the fleet of an object that lives in another namespace.
	LabelNamespace = "mooring.dev/namespace"
	// LabelComponent is the purpose of an object of Mooring, such as LabelComponentGateway.
	LabelComponent = "mooring.dev/component"
	// LabelComponentGateway is the value of LabelComponent on the Leases of gateways.
	LabelComponentGateway = "gateway"
	// AnnotationRequestSHA256 is the SHA-256 of the request that a CertificateRequest contains.
	AnnotationRequestSHA256 = "mooring.dev/request-sha256"
	// AnnotationCAKeys on ConfigMap mooring-trust records the key of the CA of each issuer.
	AnnotationCAKeys = "mooring.dev/ca-keys"
)

// Custom verbs and resources whose RBAC rules the admission policies check.
const (
	// VerbApprove on pairingrequests allows a subject to decide about machines.
	VerbApprove = "approve"
	// VerbInvoke on capabilities allows a subject to dispatch the capability of that name.
	VerbInvoke = "invoke"
	// VerbRekey on nodes allows a subject to create Nodes and to change their pins.
	VerbRekey = "rekey"
	// ResourceCapabilities is the virtual resource of VerbInvoke. A resource name is a full
	// capability name or the literal "<first segment>.*".
	ResourceCapabilities = "capabilities"
	// ProbeCapability is the only capability that the probe may dispatch; no agent has it.
	ProbeCapability = "mooring.probe"
)

// Validating admission policies. The objects are called NAME.mooring.dev. Every refusal begins with
// PolicyMessage(NAME), which distinguishes it from any other refusal.
const (
	// PolicyDispatches checks the verb invoke and the stamp requestedBy.
	PolicyDispatches = "dispatches"
	// PolicyPairingCodes checks the stamp issuedBy, autoApprove and replaceNode.
	PolicyPairingCodes = "pairing-codes"
	// PolicyPairingRequests checks the verb approve and the stamp decision.by.
	PolicyPairingRequests = "pairing-requests"
	// PolicyNodes checks the verb rekey, and approve for capabilityPolicy.
	PolicyNodes = "nodes"
	// PolicyNodeStatus forbids gateways to write the controller's fields about identities.
	PolicyNodeStatus = "node-status"
	// PolicyControllerSecrets restricts the Secrets that the controller creates and deletes outside
	// PairingNamespace to SecretTypePairingCode.
	PolicyControllerSecrets = "controller-secrets"
	// PolicyGatewaySecrets restricts the changes that gateways make to password records.
	PolicyGatewaySecrets = "gateway-secrets"
	// PolicyGatewayLeases restricts gateways to Leases whose name begins with GatewayLeasePrefix.
	PolicyGatewayLeases = "gateway-leases"
)

// GatewayLeasePrefix is the prefix of the name of every Lease that a gateway may write.
const GatewayLeasePrefix = "mooring-gateway-"

// PolicyMessage returns the beginning of every refusal of a policy.
func PolicyMessage(policy string) string {
	return "mooring policy " + policy + ": "
}
