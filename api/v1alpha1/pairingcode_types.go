package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PairingCodePhase is the phase of a PairingCode.
type PairingCodePhase string

const (
	// PairingCodeActive means that a machine may still pair with the code.
	PairingCodeActive PairingCodePhase = "Active"
	// PairingCodeUsed means that a machine paired with the code. Final.
	PairingCodeUsed PairingCodePhase = "Used"
	// PairingCodeExpired means that the code was not used in time. Final.
	PairingCodeExpired PairingCodePhase = "Expired"
	// PairingCodeBurnt means that wrong guesses used up all tries. Final.
	PairingCodeBurnt PairingCodePhase = "Burnt"
)

// PairingCode is an invitation for one machine. The code itself is in the Secret that
// status.secretName names; this object never contains a secret.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=pairingcodes,singular=pairingcode,scope=Namespaced,shortName=pcode,categories=mooring
// +kubebuilder:printcolumn:name="Method",type=string,JSONPath=`.spec.method`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.nodeName`,description="Name the machine will get, if fixed"
// +kubebuilder:printcolumn:name="Issued-By",type=string,JSONPath=`.spec.issuedBy`
// +kubebuilder:printcolumn:name="Secret",type=string,JSONPath=`.status.secretName`,description="Secret that holds the code for people"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:selectablefield:JSONPath=`.status.lookupID`
type PairingCode struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the invitation. Required, immutable.
	// +required
	Spec PairingCodeSpec `json:"spec"`

	// status is the state of the invitation. Written only by the controller.
	// +optional
	// +kubebuilder:default={}
	Status PairingCodeStatus `json:"status,omitempty"`
}

// PairingCodeSpec is an invitation; immutable as a whole.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the spec of a PairingCode is immutable: create another PairingCode",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!self.?autoApprove.orValue(false) || self.method == 'QR'",message="autoApprove needs method QR: a PIN is too short to be the only thing that admits a machine",fieldPath=".autoApprove"
// +kubebuilder:validation:XValidation:rule="!self.?replaceNode.orValue(false) || has(self.nodeName)",message="replaceNode needs nodeName: say which Node the machine takes over",fieldPath=".replaceNode"
type PairingCodeSpec struct {
	// method is PIN (typed by a person) or QR (scanned). Required, immutable.
	// +required
	// +kubebuilder:validation:Enum=PIN;QR
	Method PairingMethod `json:"method"`

	// ttlSeconds is how long the code is valid, in seconds from its creation. Default 600,
	// from 30 to 86400, immutable.
	// +optional
	// +kubebuilder:default=600
	// +kubebuilder:validation:Minimum=30
	// +kubebuilder:validation:Maximum=86400
	TTLSeconds int32 `json:"ttlSeconds,omitempty"`

	// nodeName fixes the name of the Node. Default: the machine requests a name (its host name). A
	// DNS label, immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="nodeName must be a DNS label: lower-case letters, digits and dashes, beginning and ending with a letter or digit"
	NodeName string `json:"nodeName,omitempty"`

	// nodeLabels are set on the Node. Default none, at most 16, valid label keys and values, none
	// of mooring.dev. Immutable.
	// +optional
	// +mapType=granular
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && !format.qualifiedName().validate(k).hasValue() && !format.labelValue().validate(self[k]).hasValue())",message="nodeLabels must be valid label keys and values"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('mooring.dev/') && !k.contains('.mooring.dev/'))",message="nodeLabels may not use mooring.dev: those labels are Mooring's own"
	NodeLabels map[string]NodeLabelValue `json:"nodeLabels,omitempty"`

	// capabilities limits the capabilities that an approval for this code may grant: names or
	// prefix.* of at most 128 characters. Default: no limit from the code. From 1 to 256 entries,
	// immutable.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*(\.\*)?$`
	Capabilities []string `json:"capabilities,omitempty"`

	// replaceNode allows the machine to take over the existing Node nodeName with its labels,
	// policy and queue. Default false, immutable; setting it needs the verb approve on
	// pairingrequests. A Revoked Node is never replaced.
	// +optional
	// +kubebuilder:default=false
	ReplaceNode bool `json:"replaceNode,omitempty"`

	// autoApprove makes the controller approve the request of the machine that used the code.
	// Default false, immutable, only with method QR; setting it needs the verb approve on
	// pairingrequests.
	// +optional
	// +kubebuilder:default=false
	AutoApprove bool `json:"autoApprove,omitempty"`

	// issuedBy is the name of the user who created the code. Admission sets it: leave it out. At
	// most 1024 characters, immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	IssuedBy string `json:"issuedBy,omitempty"`
}

// NodeLabelValue is the value of one label.
//
// +kubebuilder:validation:MaxLength=63
type NodeLabelValue string

// PairingCodeStatus is the state of an invitation, written by the controller.
//
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.phase) || !(oldSelf.phase in ['Used', 'Expired', 'Burnt']) || (has(self.phase) && self.phase == oldSelf.phase)",message="a phase of Used, Expired or Burnt is final",fieldPath=".phase",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.lookupID) || (has(self.lookupID) && self.lookupID == oldSelf.lookupID)",message="lookupID is immutable once set",reason=FieldValueForbidden
type PairingCodeStatus struct {
	// phase is Active, Used, Expired or Burnt; the last three are final. Unset until the Secrets
	// are created.
	// +optional
	// +kubebuilder:validation:Enum=Active;Used;Expired;Burnt
	Phase PairingCodePhase `json:"phase,omitempty"`

	// lookupID is the public part of the code: 6 characters, unique in the cluster, immutable
	// once set.
	// +optional
	// +kubebuilder:validation:MaxLength=6
	// +kubebuilder:validation:Pattern=`^[0-9A-Z]{6}$`
	LookupID string `json:"lookupID,omitempty"`

	// expiresTime is the time at which the code stops being valid.
	// +optional
	ExpiresTime *metav1.Time `json:"expiresTime,omitempty"`

	// secretName names the Secret of type mooring.dev/pairing-code in this namespace that
	// holds the code for people.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// attemptsLeft is the number of wrong guesses that are left, from 0 to 3, updated with a short
	// delay.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3
	AttemptsLeft *int32 `json:"attemptsLeft,omitempty"`

	// usedBy is the PairingRequest of the machine that used the code.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	UsedBy string `json:"usedBy,omitempty"`

	// conditions describe the current state of the code: Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// PairingCodeList is a list of PairingCodes.
//
// +kubebuilder:object:root=true
type PairingCodeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PairingCode `json:"items"`
}
