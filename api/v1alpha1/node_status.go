package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodeStatus is the observed state of a machine. Four server-side-apply managers write it, each
// its own fields. FieldManagerSession is the gateway of the session; its presence and session
// fields pass to the controller when the session ended or its gateway died. FieldManagerCertificate
// is any gateway and owns certificateRequest. FieldManagerController and FieldManagerIssuance are the
// controller.
type NodeStatus struct {
	// presence reports whether the machine can be reached at present. Default Offline. Written by
	// the session manager while a gateway holds the session, else by the controller.
	// +optional
	// +kubebuilder:default=Offline
	// +kubebuilder:validation:Enum=Online;Degraded;Stale;Offline
	Presence NodePresence `json:"presence,omitempty"`

	// since is the time at which presence last changed.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// gateway is the replica that holds the session or held the last one: pod name and random id of
	// its process, at most 253 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Gateway string `json:"gateway,omitempty"`

	// sessionID identifies the session, at most 64 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	SessionID string `json:"sessionID,omitempty"`

	// sessionStartedTime is the time at which the session was recorded, before its first offer. It
	// is in whole seconds of the API server's clock, because it is compared with creation
	// timestamps.
	// +optional
	SessionStartedTime *metav1.Time `json:"sessionStartedTime,omitempty"`

	// sessionEndedTime is the time at which the session ended. Its gateway writes it after a clean
	// end, the controller once the gateway's Lease expired. Unset while the session lasts. Whole
	// seconds of the API server's clock.
	// +optional
	SessionEndedTime *metav1.Time `json:"sessionEndedTime,omitempty"`

	// bootID changes with every boot of the machine, at most 64 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	BootID string `json:"bootID,omitempty"`

	// journalID identifies the agent's journal. A changed id means that the journal was lost or the
	// identity was copied. At most 64 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	JournalID string `json:"journalID,omitempty"`

	// dialCounter grows with every dial of the agent. A smaller value comes from an older session,
	// an older journal or a copied identity.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DialCounter int64 `json:"dialCounter,omitempty"`

	// registeredTime is the time at which the machine last sent its description and capabilities.
	// +optional
	RegisteredTime *metav1.Time `json:"registeredTime,omitempty"`

	// lastConnectedTime is the time at which a session was last recorded.
	// +optional
	LastConnectedTime *metav1.Time `json:"lastConnectedTime,omitempty"`

	// lastHeartbeatTime is the time at which the machine was last heard from. It is refreshed
	// within a write budget for the whole fleet; for an Online Node, the live Lease of its gateway
	// is the evidence.
	// +optional
	LastHeartbeatTime *metav1.Time `json:"lastHeartbeatTime,omitempty"`

	// lastEvent is the last notable event of the session.
	// +optional
	LastEvent *NodeEvent `json:"lastEvent,omitempty"`

	// system describes the machine as its agent reports it.
	// +optional
	System *SystemInfo `json:"system,omitempty"`

	// capabilities are the capabilities that the agent declared, at most 256.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Capabilities []NodeCapability `json:"capabilities,omitempty"`

	// capabilitySummary counts the available and the granted capabilities, such as "3/4".
	// +optional
	// +kubebuilder:validation:MaxLength=16
	CapabilitySummary string `json:"capabilitySummary,omitempty"`

	// certificate is the certificate that the machine uses in its session.
	// +optional
	Certificate *CertificateInfo `json:"certificate,omitempty"`

	// trustBundleSHA256 is the fingerprint of the CA bundle that the machine reports as stored.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	TrustBundleSHA256 string `json:"trustBundleSHA256,omitempty"`

	// certificateRequest is the machine's request for a certificate. A gateway checked it; the
	// controller checks it again.
	// +optional
	CertificateRequest *NodeCertificateRequest `json:"certificateRequest,omitempty"`

	// revocationRequest is the machine's signed request to revoke its identity. The controller
	// revokes the Node if the machine's key made the signature, independently of the condition
	// RevocationRequested. Written by the session manager.
	// +optional
	RevocationRequest *NodeRevocationRequest `json:"revocationRequest,omitempty"`

	// trust reports whether the identity is trusted. Default Pending. Written by the controller.
	// +optional
	// +kubebuilder:default=Pending
	// +kubebuilder:validation:Enum=Pending;Trusted;Suspended;Expired;Revoked
	Trust NodeTrust `json:"trust,omitempty"`

	// issued is the answer to certificateRequest. Written by the controller.
	// +optional
	Issued *IssuedCertificate `json:"issued,omitempty"`

	// certificateHistory lists the last 5 issued certificates. Written by the controller.
	// +optional
	// +listType=map
	// +listMapKey=fingerprintSHA256
	// +kubebuilder:validation:MaxItems=5
	CertificateHistory []CertificateInfo `json:"certificateHistory,omitempty"`

	// provenSpec holds hashes of the guarded fields of spec, from the last good proof of the
	// admission policies. Gateways offer nothing while spec differs from it. Written by the
	// controller.
	// +optional
	ProvenSpec *ProvenSpec `json:"provenSpec,omitempty"`

	// fingerprintShort is the beginning of the pin, for display. Written by the controller.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	FingerprintShort string `json:"fingerprintShort,omitempty"`

	// certificateExpires is the end of the newest certificate as text (RFC 3339): kubectl prints
	// dates in the future as <invalid>. Written by the controller.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	CertificateExpires string `json:"certificateExpires,omitempty"`

	// conditions describe the current state of the Node. The controller writes Ready,
	// CertificateValid, CapabilityReviewRequired and SpecUnproven. The session manager writes
	// Connected, ClockSkew, RevocationRequested and SuspectedClone.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ProvenSpec holds hashes of the fields of a Node's spec that admission policies guard. An unproven
// hash belongs to a value that was written at a time which no proof covers.
type ProvenSpec struct {
	// epoch identifies the Epoch (series of proofs) of the last comparison, at most 64 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Epoch string `json:"epoch,omitempty"`

	// keysSHA256 is the hash of publicKeySHA256, nextPublicKeySHA256, pairingRequestUID and
	// serviceAccount; empty if no value was ever proven. 64 lower-case hex digits.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	KeysSHA256 string `json:"keysSHA256,omitempty"`

	// capabilityPolicySHA256 is the hash of capabilityPolicy, likewise.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	CapabilityPolicySHA256 string `json:"capabilityPolicySHA256,omitempty"`

	// unprovenKeysSHA256 is the hash of keys that are not used, because no proof covers the time at
	// which they were written.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	UnprovenKeysSHA256 string `json:"unprovenKeysSHA256,omitempty"`

	// unprovenCapabilityPolicySHA256 is the hash of a capabilityPolicy that is not used, likewise.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	UnprovenCapabilityPolicySHA256 string `json:"unprovenCapabilityPolicySHA256,omitempty"`
}

// NodeEvent is one event of a session.
type NodeEvent struct {
	// name is a reason of a condition or event, such as SessionStarted, at most 64 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Name string `json:"name"`

	// time is the time of the event.
	// +required
	Time metav1.Time `json:"time"`
}

// Mediation defines whether a person at the machine is asked before a capability runs.
type Mediation string

const (
	// MediationNone runs the capability without asking.
	MediationNone Mediation = "None"
	// MediationLocal asks a person at the machine first.
	MediationLocal Mediation = "Local"
)

// NodeCapability is one capability that an agent declared.
type NodeCapability struct {
	// name is the name of the capability, such as system.health, at most 128 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name"`

	// description describes the capability to users, at most 512 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Description string `json:"description,omitempty"`

	// mediation is None, or Local if a person at the machine is asked first. Default None.
	// +optional
	// +kubebuilder:validation:Enum=None;Local
	Mediation Mediation `json:"mediation,omitempty"`

	// available is true if the agent declared the capability, the policy of the Node grants it, and
	// nothing that it needs is missing.
	// +optional
	Available bool `json:"available"`

	// reason is one word for the cause why the capability is not available, at most 256 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`

	// inputSchema is the JSON schema of the input, at most 4 KiB each and 32 KiB per Node
	// (the gateway drops larger ones).
	// +optional
	InputSchema *JSON `json:"inputSchema,omitempty"`
}

// CertificateInfo identifies one certificate.
type CertificateInfo struct {
	// serialNumber is the serial number in lower-case hex digits, at most 64.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	SerialNumber string `json:"serialNumber,omitempty"`

	// fingerprintSHA256 is the SHA-256 of the certificate, 64 lower-case hex digits.
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	FingerprintSHA256 string `json:"fingerprintSHA256"`

	// publicKeySHA256 is the SHA-256 of the SubjectPublicKeyInfo in the certificate, 64 lower-case
	// hex digits.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	PublicKeySHA256 string `json:"publicKeySHA256,omitempty"`

	// notBefore is the time at which the certificate becomes valid.
	// +optional
	NotBefore *metav1.Time `json:"notBefore,omitempty"`

	// notAfter is the time at which the certificate expires.
	// +optional
	NotAfter *metav1.Time `json:"notAfter,omitempty"`
}

// CertificatePurpose is the purpose for which a machine requests a certificate.
type CertificatePurpose string

const (
	// CertificateInitial is the first certificate after an approval.
	CertificateInitial CertificatePurpose = "Initial"
	// CertificateRenewal is a new certificate for the same key while the identity is valid.
	CertificateRenewal CertificatePurpose = "Renewal"
	// CertificateRotation is a certificate for a new key that the pinned key signed for.
	CertificateRotation CertificatePurpose = "Rotation"
	// CertificateRecovery is a new certificate for a machine whose last certificate expired.
	CertificateRecovery CertificatePurpose = "Recovery"
)

// NodeCertificateRequest is a request for a certificate. It contains the proof that the gateway
// verified, so that the controller need not trust the gateway.
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

	// requestedTime is the time at which the gateway received the request.
	// +required
	RequestedTime metav1.Time `json:"requestedTime"`
}

// CertificateProof is the signature of a device key over the request for a certificate.
type CertificateProof struct {
	// exporter is the TLS exporter value of the connection, base64 in JSON.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Exporter []byte `json:"exporter,omitempty"`

	// certificateFingerprintSHA256 identifies the certificate that the machine showed, if any.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	CertificateFingerprintSHA256 string `json:"certificateFingerprintSHA256,omitempty"`

	// signature is the ECDSA signature over SHA-256 in ASN.1, base64 in JSON.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Signature []byte `json:"signature,omitempty"`
}

// NodeRevocationRequest is the request of a machine to revoke its identity. It contains the proof
// that the gateway verified, so that the controller need not trust the gateway.
type NodeRevocationRequest struct {
	// reason is the machine's reason as the gateway passed it on: it is not signed. At most 256
	// characters.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`

	// publicKey is the key that signed, DER of its SubjectPublicKeyInfo, base64 in JSON. It counts
	// only if it is the pin of the Node or the next key.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	PublicKey []byte `json:"publicKey"`

	// exporter is the TLS exporter value of the connection, base64 in JSON.
	// +required
	// +kubebuilder:validation:MaxLength=128
	Exporter []byte `json:"exporter"`

	// signature is the signature of the key over method, SPIFFE ID of the Node and exporter: ECDSA
	// over SHA-256 in ASN.1, base64 in JSON.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Signature []byte `json:"signature"`

	// requestedTime is the time at which the gateway received the request.
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

	// error explains why there is no chain and what to do, at most 1024 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Error string `json:"error,omitempty"`
}
