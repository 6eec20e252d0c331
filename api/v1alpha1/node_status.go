package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodeStatus is what was observed of a machine. Three server-side-apply managers write it,
// each its own fields: FieldManagerSession (the gateway that holds the session; its presence
// and session fields pass to the controller when the session ended or its gateway died),
// FieldManagerCertificate (any gateway: certificateRequest) and FieldManagerController.
type NodeStatus struct {
	// presence says whether the machine can be reached now. Default Offline. Session manager
	// while a gateway holds the session, else the controller.
	// +optional
	// +kubebuilder:default=Offline
	// +kubebuilder:validation:Enum=Online;Degraded;Stale;Offline
	Presence NodePresence `json:"presence,omitempty"`

	// since is when presence last changed.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// gateway is the replica (pod name and random id of its process, at most 253 characters)
	// that holds the session or held the last one.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Gateway string `json:"gateway,omitempty"`

	// sessionID names the session, at most 64 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	SessionID string `json:"sessionID,omitempty"`

	// sessionStartedTime is when the session was recorded, before its first offer, in the
	// apiserver's clock and whole seconds: it is compared with creation timestamps.
	// +optional
	SessionStartedTime *metav1.Time `json:"sessionStartedTime,omitempty"`

	// sessionEndedTime is when the session ended: written by its gateway after a clean end, by
	// the leader once the gateway's Lease ran out. Unset while the session lasts. Whole seconds
	// of the apiserver's clock.
	// +optional
	SessionEndedTime *metav1.Time `json:"sessionEndedTime,omitempty"`

	// bootID changes with every boot of the machine, at most 64 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	BootID string `json:"bootID,omitempty"`

	// journalID names the agent's journal; another one than before means that the journal was
	// lost or the identity was copied. At most 64 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	JournalID string `json:"journalID,omitempty"`

	// dialCounter grows with every dial of the agent: a smaller one is an older session, an
	// older journal or a copied identity.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DialCounter int64 `json:"dialCounter,omitempty"`

	// registeredTime is when the machine last sent its description and capabilities.
	// +optional
	RegisteredTime *metav1.Time `json:"registeredTime,omitempty"`

	// lastConnectedTime is when a session was last recorded.
	// +optional
	LastConnectedTime *metav1.Time `json:"lastConnectedTime,omitempty"`

	// lastHeartbeatTime is when the machine was last heard, refreshed inside a budget for the
	// whole fleet: an Online Node is vouched for by the live Lease of its gateway instead.
	// +optional
	LastHeartbeatTime *metav1.Time `json:"lastHeartbeatTime,omitempty"`

	// lastEvent is the last thing worth telling that happened to the session.
	// +optional
	LastEvent *NodeEvent `json:"lastEvent,omitempty"`

	// system is what the machine says about itself.
	// +optional
	System *SystemInfo `json:"system,omitempty"`

	// capabilities are those the agent declared, at most 256.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Capabilities []NodeCapability `json:"capabilities,omitempty"`

	// capabilitySummary counts the available among the granted capabilities, such as "3/4".
	// +optional
	// +kubebuilder:validation:MaxLength=16
	CapabilitySummary string `json:"capabilitySummary,omitempty"`

	// certificate is the one the machine uses in its session.
	// +optional
	Certificate *CertificateInfo `json:"certificate,omitempty"`

	// trustBundleSHA256 is the fingerprint of the CA bundle that the machine says it stored.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	TrustBundleSHA256 string `json:"trustBundleSHA256,omitempty"`

	// certificateRequest is the machine's wish for a certificate, checked by a gateway and
	// checked again by the controller.
	// +optional
	CertificateRequest *NodeCertificateRequest `json:"certificateRequest,omitempty"`

	// revocationRequest is the machine's signed wish to give up its identity. The controller
	// revokes the Node when the signature is of its key, whatever the condition
	// RevocationRequested says. Session manager.
	// +optional
	RevocationRequest *NodeRevocationRequest `json:"revocationRequest,omitempty"`

	// trust says whether the identity is good. Default Pending. Controller.
	// +optional
	// +kubebuilder:default=Pending
	// +kubebuilder:validation:Enum=Pending;Trusted;Suspended;Expired;Revoked
	Trust NodeTrust `json:"trust,omitempty"`

	// issued is the answer to certificateRequest. Controller.
	// +optional
	Issued *IssuedCertificate `json:"issued,omitempty"`

	// certificateHistory lists the last 5 certificates that were issued. Controller.
	// +optional
	// +listType=map
	// +listMapKey=fingerprintSHA256
	// +kubebuilder:validation:MaxItems=5
	CertificateHistory []CertificateInfo `json:"certificateHistory,omitempty"`

	// provenSpec names the guarded fields of spec as they were under the last good proof of the
	// admission policies. Gateways offer nothing while spec differs from it. Controller.
	// +optional
	ProvenSpec *ProvenSpec `json:"provenSpec,omitempty"`

	// fingerprintShort is the beginning of the pin, for people. Controller.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	FingerprintShort string `json:"fingerprintShort,omitempty"`

	// certificateExpires is the end of the newest certificate as text (RFC 3339): kubectl
	// prints dates in the future as <invalid>. Controller.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	CertificateExpires string `json:"certificateExpires,omitempty"`

	// conditions: Ready, CertificateValid, CapabilityReviewRequired, SpecUnproven (controller); Connected,
	// ClockSkew, RevocationRequested, SuspectedClone (session manager).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ProvenSpec holds hashes of the fields of a Node's spec that admission policies guard. An
// unproven hash is that of a value which was written while no proof covered it.
type ProvenSpec struct {
	// epoch names the run of proofs that the hashes were last compared in, at most 64 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Epoch string `json:"epoch,omitempty"`

	// keysSHA256 is the hash of publicKeySHA256, nextPublicKeySHA256, pairingRequestUID and
	// serviceAccount; empty when no value was ever proven. 64 lower-case hex digits.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	KeysSHA256 string `json:"keysSHA256,omitempty"`

	// capabilityPolicySHA256 is the hash of capabilityPolicy, likewise.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	CapabilityPolicySHA256 string `json:"capabilityPolicySHA256,omitempty"`

	// unprovenKeysSHA256 is the hash of keys that are not used, because no proof covers the
	// moment they were written.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	UnprovenKeysSHA256 string `json:"unprovenKeysSHA256,omitempty"`

	// unprovenCapabilityPolicySHA256 is the hash of a capabilityPolicy that is not used, likewise.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	UnprovenCapabilityPolicySHA256 string `json:"unprovenCapabilityPolicySHA256,omitempty"`
}

// NodeEvent is one thing that happened to a session.
type NodeEvent struct {
	// name is one of the reasons of this package, at most 64 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Name string `json:"name"`

	// time is when it happened.
	// +required
	Time metav1.Time `json:"time"`
}

// Mediation says whether a person at the machine is asked before a capability runs.
type Mediation string

const (
	// MediationNone runs the capability without asking.
	MediationNone Mediation = "None"
	// MediationLocal asks a person at the machine first.
	MediationLocal Mediation = "Local"
)

// NodeCapability is one capability that an agent declared.
type NodeCapability struct {
	// name of the capability, such as system.health, at most 128 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name"`

	// description for people, at most 512 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Description string `json:"description,omitempty"`

	// mediation is None, or Local when a person at the machine is asked first. Default None.
	// +optional
	// +kubebuilder:validation:Enum=None;Local
	Mediation Mediation `json:"mediation,omitempty"`

	// available is true when the agent declared the capability, the policy of the Node grants
	// it, and nothing it needs is missing.
	// +optional
	Available bool `json:"available"`

	// reason says in one word why the capability is not available, at most 256 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`

	// inputSchema is the JSON schema of the input, at most 4 KiB each and 32 KiB per Node
	// (the gateway drops larger ones).
	// +optional
	InputSchema *JSON `json:"inputSchema,omitempty"`
}

// CertificateInfo names one certificate.
type CertificateInfo struct {
	// serialNumber in lower-case hex digits, at most 64.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	SerialNumber string `json:"serialNumber,omitempty"`

	// fingerprintSHA256 is the SHA-256 of the certificate, 64 lower-case hex digits.
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	FingerprintSHA256 string `json:"fingerprintSHA256"`

	// publicKeySHA256 is the SHA-256 of its SubjectPublicKeyInfo, 64 lower-case hex digits.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	PublicKeySHA256 string `json:"publicKeySHA256,omitempty"`

	// notBefore is when the certificate becomes valid.
	// +optional
	NotBefore *metav1.Time `json:"notBefore,omitempty"`

	// notAfter is when the certificate runs out.
	// +optional
	NotAfter *metav1.Time `json:"notAfter,omitempty"`
}

// CertificatePurpose is why a machine asks for a certificate.
type CertificatePurpose string

const (
	// CertificateInitial is the first certificate after an approval.
	CertificateInitial CertificatePurpose = "Initial"
	// CertificateRenewal is a new certificate for the same key over a live identity.
	CertificateRenewal CertificatePurpose = "Renewal"
	// CertificateRotation is a certificate for a new key, signed for by the pinned one.
	CertificateRotation CertificatePurpose = "Rotation"
	// CertificateRecovery is a new certificate for a machine whose last one ran out.
	CertificateRecovery CertificatePurpose = "Recovery"
)

// NodeCertificateRequest is a request for a certificate with the proof the gateway saw, so
// that the controller need not believe the gateway.
type NodeCertificateRequest struct {
	// request is the DER of the PKCS#10 request, base64 in JSON, at most 8 KiB.
	// +required
	// +kubebuilder:validation:MaxLength=11264
	Request []byte `json:"request"`

	// purpose is Initial, Renewal, Rotation or Recovery.
	// +required
	// +kubebuilder:validation:Enum=Initial;Renewal;Rotation;Recovery
	Purpose CertificatePurpose `json:"purpose"`

	// proof is the signature of the pinned key over this request and its connection.
	// +optional
	Proof *CertificateProof `json:"proof,omitempty"`

	// requestedTime is when the gateway received the request.
	// +required
	RequestedTime metav1.Time `json:"requestedTime"`
}

// CertificateProof is the signature of a device key over the request for a certificate.
type CertificateProof struct {
	// exporter is the TLS exporter value of the connection, base64 in JSON.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Exporter []byte `json:"exporter,omitempty"`

	// certificateFingerprintSHA256 names the certificate the machine showed, if any.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	CertificateFingerprintSHA256 string `json:"certificateFingerprintSHA256,omitempty"`

	// signature is ECDSA over SHA-256 in ASN.1, base64 in JSON.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Signature []byte `json:"signature,omitempty"`
}

// NodeRevocationRequest is the wish of a machine to give up its identity, with the proof the
// gateway saw, so that the controller need not believe the gateway.
type NodeRevocationRequest struct {
	// reason is what the machine says about it, as the gateway passed it on: it is not signed.
	// At most 256 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`

	// publicKey is the key that signed, DER of its SubjectPublicKeyInfo, base64 in JSON; it
	// counts only if it is the pin of the Node or the next key.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	PublicKey []byte `json:"publicKey"`

	// exporter is the TLS exporter value of the connection, base64 in JSON.
	// +required
	// +kubebuilder:validation:MaxLength=128
	Exporter []byte `json:"exporter"`

	// signature of the key over method, SPIFFE id of the Node and exporter: ECDSA over SHA-256
	// in ASN.1, base64 in JSON.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Signature []byte `json:"signature"`

	// requestedTime is when the gateway received the wish.
	// +required
	RequestedTime metav1.Time `json:"requestedTime"`
}

// IssuedCertificate is the controller's answer to a request: a chain or an error.
type IssuedCertificate struct {
	// requestSHA256 is the SHA-256 of the DER of the answered request, 64 lower-case hex digits.
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	RequestSHA256 string `json:"requestSHA256"`

	// chain is the certificate followed by its intermediates, PEM, at most 16 KiB.
	// +optional
	// +kubebuilder:validation:MaxLength=16384
	Chain string `json:"chain,omitempty"`

	// error says why there is no chain and what to do, at most 1024 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Error string `json:"error,omitempty"`
}
