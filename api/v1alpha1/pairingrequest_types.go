package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PairingRequestPhase is the phase of a PairingRequest.
type PairingRequestPhase string

const (
	// PairingRequestPending means that the request was checked and waits for a decision.
	PairingRequestPending PairingRequestPhase = "Pending"
	// PairingRequestApproved means that a certificate is being issued. The phase becomes Failed,
	// reason NotCollected, if the machine does not fetch the certificate within 24 hours. A Node
	// that never had a certificate is deleted then.
	PairingRequestApproved PairingRequestPhase = "Approved"
	// PairingRequestDenied means that an approver denied the request. Final.
	PairingRequestDenied PairingRequestPhase = "Denied"
	// PairingRequestCompleted means that the machine has its certificate. Final.
	PairingRequestCompleted PairingRequestPhase = "Completed"
	// PairingRequestExpired means that no decision was made in time. Final.
	PairingRequestExpired PairingRequestPhase = "Expired"
	// PairingRequestFailed means that a claim of the request was false, or that the request could
	// not be completed; the condition Completed has the cause. Final.
	PairingRequestFailed PairingRequestPhase = "Failed"
)

// Verdict is the decision about a PairingRequest.
type Verdict string

const (
	// VerdictApproved admits the machine.
	VerdictApproved Verdict = "Approved"
	// VerdictDenied refuses the machine.
	VerdictDenied Verdict = "Denied"
)

// PairingRequest is the request of a machine that proved that it knows a pairing code. It waits for
// the decision of a person. Compare the verification code with the screen of the machine, then
// decide:
//
//	kubectl patch preq NAME --type=merge -p '{"spec":{"decision":{"verdict":"Approved"}}}'
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=pairingrequests,singular=pairingrequest,scope=Namespaced,shortName=preq,categories=mooring
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.nodeName`
// +kubebuilder:printcolumn:name="Method",type=string,JSONPath=`.spec.method`
// +kubebuilder:printcolumn:name="Platform",type=string,JSONPath=`.spec.system.platform`
// +kubebuilder:printcolumn:name="Verification",type=string,JSONPath=`.spec.verificationCode`,description="Must be the same on the screen of the machine"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:selectablefield:JSONPath=`.spec.nodeName`
// +kubebuilder:selectablefield:JSONPath=`.status.phase`
type PairingRequest struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the request and the decision. Required; immutable except decision.
	// +required
	Spec PairingRequestSpec `json:"spec"`

	// status is the state of the request. Written by the controller.
	// +optional
	// +kubebuilder:default={}
	Status PairingRequestStatus `json:"status,omitempty"`
}

// PairingRequestSpec is the request and the decision. Everything but decision is immutable;
// decision is final once set.
//
// +kubebuilder:validation:XValidation:rule="self.method == 'ServiceAccount' ? (has(self.serviceAccount) && !has(self.codeName) && !has(self.codeIssuedBy) && !has(self.transcriptSHA256)) : (!has(self.serviceAccount) && has(self.codeName) && has(self.transcriptSHA256))",message="methods PIN and QR need codeName and transcriptSHA256 and no serviceAccount; method ServiceAccount needs serviceAccount and nothing of a code"
// +kubebuilder:validation:XValidation:rule="has(self.codeName) == has(oldSelf.codeName) && (!has(self.codeName) || self.codeName == oldSelf.codeName)",message="codeName is immutable",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="has(self.codeIssuedBy) == has(oldSelf.codeIssuedBy) && (!has(self.codeIssuedBy) || self.codeIssuedBy == oldSelf.codeIssuedBy)",message="codeIssuedBy is immutable",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="has(self.transcriptSHA256) == has(oldSelf.transcriptSHA256) && (!has(self.transcriptSHA256) || self.transcriptSHA256 == oldSelf.transcriptSHA256)",message="transcriptSHA256 is immutable",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="has(self.serviceAccount) == has(oldSelf.serviceAccount) && (!has(self.serviceAccount) || self.serviceAccount == oldSelf.serviceAccount)",message="serviceAccount is immutable",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="has(self.system) == has(oldSelf.system) && (!has(self.system) || self.system == oldSelf.system)",message="system is immutable",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="has(self.requestedCapabilities) == has(oldSelf.requestedCapabilities) && (!has(self.requestedCapabilities) || self.requestedCapabilities == oldSelf.requestedCapabilities)",message="requestedCapabilities is immutable",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.decision) || (has(self.decision) && self.decision == oldSelf.decision)",message="the decision is final: delete this request and pair the machine again to decide anew",fieldPath=".decision",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!has(self.decision) || !has(self.decision.capabilities) || (has(self.requestedCapabilities) && self.decision.capabilities.all(c, c in self.requestedCapabilities))",message="decision.capabilities may only narrow the grant: every entry must be one of requestedCapabilities",fieldPath=".decision"
type PairingRequestSpec struct {
	// nodeName is the name that the Node will get. Required, a DNS label, immutable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="nodeName must be a DNS label: lower-case letters, digits and dashes, beginning and ending with a letter or digit"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="nodeName is immutable",reason=FieldValueForbidden
	NodeName string `json:"nodeName"`

	// publicKey is the key of the machine, PEM of its SubjectPublicKeyInfo. Required, at most
	// 1024 characters, immutable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="publicKey is immutable",reason=FieldValueForbidden
	PublicKey string `json:"publicKey"`

	// publicKeySHA256 is the fingerprint of publicKey, 64 lower-case hex digits; the controller
	// computes it again. Required, immutable.
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="publicKeySHA256 is immutable",reason=FieldValueForbidden
	PublicKeySHA256 string `json:"publicKeySHA256"`

	// method is the way in which the machine proved that it was invited: PIN, QR or ServiceAccount.
	// Required, immutable.
	// +required
	// +kubebuilder:validation:Enum=PIN;QR;ServiceAccount
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="method is immutable",reason=FieldValueForbidden
	Method PairingMethod `json:"method"`

	// codeName names the PairingCode that was used; not with method ServiceAccount. At most
	// 253 characters, immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	CodeName string `json:"codeName,omitempty"`

	// codeIssuedBy is the name of the user who created that code; not with method ServiceAccount.
	// At most 1024 characters, immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	CodeIssuedBy string `json:"codeIssuedBy,omitempty"`

	// serviceAccount is the identity in the token that the agent showed; only with method
	// ServiceAccount. Immutable.
	// +optional
	ServiceAccount *ServiceAccountIdentity `json:"serviceAccount,omitempty"`

	// transcriptSHA256 identifies the pairing exchange in logs. It is derived from the session key
	// of the exchange, 64 lower-case hex digits; not with method ServiceAccount. Immutable.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	TranscriptSHA256 string `json:"transcriptSHA256,omitempty"`

	// verificationCode is the code that people compare with the screen of the machine: XXXXX-XXXXX,
	// the beginning of the fingerprint in base32. Required, immutable.
	// +required
	// +kubebuilder:validation:MaxLength=11
	// +kubebuilder:validation:Pattern=`^[0-9A-Z]{5}-[0-9A-Z]{5}$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="verificationCode is immutable",reason=FieldValueForbidden
	VerificationCode string `json:"verificationCode"`

	// system describes the machine as its agent reports it. Immutable.
	// +optional
	System *SystemInfo `json:"system,omitempty"`

	// requestedCapabilities are the capabilities the machine offers: names of at most 128
	// characters. At most 256 entries, immutable.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*(\.\*)?$`
	RequestedCapabilities []string `json:"requestedCapabilities,omitempty"`

	// expiresTime is the time at which an undecided request ends. Required (the gateway sets one
	// hour from now), immutable, only in effect while the request is Pending.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="expiresTime is immutable",reason=FieldValueForbidden
	ExpiresTime metav1.Time `json:"expiresTime"`

	// decision is the decision of an approver. Setting it needs the verb approve; final once set.
	// +optional
	Decision *PairingDecision `json:"decision,omitempty"`
}

// ServiceAccountIdentity is the identity of a bound token, from its TokenReview.
type ServiceAccountIdentity struct {
	// namespace is the namespace of the ServiceAccount.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`

	// name is the name of the ServiceAccount.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// node is the core Node that the token is bound to.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`

	// nodeUID is the UID of that core Node. A core Node that is recreated under the same name has
	// another UID.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	NodeUID string `json:"nodeUID,omitempty"`
}

// PairingDecision is the decision of an approver.
type PairingDecision struct {
	// verdict is Approved or Denied. Required.
	// +required
	// +kubebuilder:validation:Enum=Approved;Denied
	Verdict Verdict `json:"verdict"`

	// by is the name of the user who decided. Admission sets it: leave it out. At most 1024
	// characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	By string `json:"by,omitempty"`

	// reason is shown on the machine and kept in the request. Optional, at most 1024 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`

	// capabilities restricts the grant to these of requestedCapabilities. Default: all requested
	// capabilities. From 1 to 256 entries.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=128
	Capabilities []string `json:"capabilities,omitempty"`
}

// PairingRequestStatus is the state of a request, written by the controller.
//
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.phase) || !(oldSelf.phase in ['Denied', 'Completed', 'Expired', 'Failed']) || (has(self.phase) && self.phase == oldSelf.phase)",message="a phase of Denied, Completed, Expired or Failed is final",fieldPath=".phase",reason=FieldValueForbidden
type PairingRequestStatus struct {
	// phase is unset until the controller has checked the request. Then it is Pending, Approved,
	// Denied, Completed, Expired or Failed; Denied and the last three are final.
	// +optional
	// +kubebuilder:validation:Enum=Pending;Approved;Denied;Completed;Expired;Failed
	Phase PairingRequestPhase `json:"phase,omitempty"`

	// spiffeID is the SPIFFE ID for the certificate of the machine, set on approval.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	SPIFFEID string `json:"spiffeID,omitempty"`

	// policyEpoch identifies the Epoch (series of proofs of the admission policies) in which the
	// controller last saw this request undecided. A decision counts only in the same Epoch. At most
	// 64 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	PolicyEpoch string `json:"policyEpoch,omitempty"`

	// nodeName is the Node that the approval created or replaced.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	NodeName string `json:"nodeName,omitempty"`

	// conditions describe the current state of the request: Approved, Issued and Completed.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// PairingRequestList is a list of PairingRequests.
//
// +kubebuilder:object:root=true
type PairingRequestList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PairingRequest `json:"items"`
}
