package v1alpha1

// Finalizers.
const (
	// FinalizerNode holds a Node until its dispatches and its session are ended.
	FinalizerNode = "mooring.dev/node"
	// FinalizerPairingCode holds a PairingCode until its password record is deleted.
	FinalizerPairingCode = "mooring.dev/pairing-code"
)

// Field managers of server-side apply.
const (
	// FieldManagerSession owns the session fields of Node.status.
	FieldManagerSession = "mooring-gateway-session"
	// FieldManagerCertificate owns Node.status.certificateRequest.
	FieldManagerCertificate = "mooring-gateway-certificate"
	// FieldManagerController owns what the controller writes, everywhere.
	FieldManagerController = "mooring-controller"
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
	// ProbeServiceAccount is impersonated by the controller to prove the admission policies.
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
	// ServiceAccountRulesConfigMap says which ServiceAccounts may enrol into which fleet.
	ServiceAccountRulesConfigMap = "mooring-serviceaccounts"
	// PolicyProofLease is renewed by the controller while the admission policies are proven.
	PolicyProofLease = "mooring-policy-proof"
	// PolicyProofConfigMap is the controller's record of which times the proofs cover.
	PolicyProofConfigMap = "mooring-policy-proof"
	// LeaderLease elects the active controller.
	LeaderLease = "mooring-controller"
	// GatewayTLSSecret is the server certificate of the gateways.
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
	// LabelComponent is what an object of ours is for: LabelComponentGateway and the like.
	LabelComponent = "mooring.dev/component"
	// LabelComponentGateway marks the Leases of gateways.
	LabelComponentGateway = "gateway"
	// AnnotationRequestSHA256 is the SHA-256 of the request a CertificateRequest was made for.
	AnnotationRequestSHA256 = "mooring.dev/request-sha256"
	// AnnotationCAKeys records in ConfigMap mooring-trust the key of the CA of each issuer.
	AnnotationCAKeys = "mooring.dev/ca-keys"
)

// Custom verbs and resources that admission policies ask RBAC about.
const (
	// VerbApprove on pairingrequests lets a subject decide about machines.
	VerbApprove = "approve"
	// VerbInvoke on capabilities lets a subject dispatch the capability of that name.
	VerbInvoke = "invoke"
	// VerbRekey on nodes lets a subject create Nodes and change their pins.
	VerbRekey = "rekey"
	// ResourceCapabilities is the virtual resource of VerbInvoke. Its names are a full
	// capability or the literal "<first segment>.*".
	ResourceCapabilities = "capabilities"
	// ProbeCapability is the only capability the probe may dispatch; no agent has it.
	ProbeCapability = "mooring.probe"
)

// Validating admission policies. The objects are called NAME.mooring.dev; every refusal begins
// with PolicyMessage(NAME), so that it is known from any other refusal.
const (
	// PolicyDispatches checks the verb invoke and the stamp requestedBy.
	PolicyDispatches = "dispatches"
	// PolicyPairingCodes checks the stamp issuedBy, autoApprove and replaceNode.
	PolicyPairingCodes = "pairing-codes"
	// PolicyPairingRequests checks the verb approve and the stamp decision.by.
	PolicyPairingRequests = "pairing-requests"
	// PolicyNodes checks the verb rekey, and approve for capabilityPolicy.
	PolicyNodes = "nodes"
	// PolicyNodeStatus keeps what the controller says about identities from gateways.
	PolicyNodeStatus = "node-status"
	// PolicyControllerSecrets narrows the Secrets of the controller to their type.
	PolicyControllerSecrets = "controller-secrets"
	// PolicyGatewaySecrets narrows what gateways do to password records.
	PolicyGatewaySecrets = "gateway-secrets"
	// PolicyGatewayLeases narrows the Leases of gateways to GatewayLeasePrefix.
	PolicyGatewayLeases = "gateway-leases"
)

// GatewayLeasePrefix begins the name of every Lease that a gateway may write.
const GatewayLeasePrefix = "mooring-gateway-"

// PolicyMessage is how every refusal of a policy begins.
func PolicyMessage(policy string) string {
	return "mooring policy " + policy + ": "
}
