package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PairingCodePhase is where a PairingCode is in its life.
type PairingCodePhase string

const (
	// PairingCodeActive means that a machine may still pair with the code.
	PairingCodeActive PairingCodePhase = "Active"
	// PairingCodeUsed means that a machine paired with the code. Final.
	PairingCodeUsed PairingCodePhase = "Used"
	// PairingCodeExpired means that nobody used the code in time. Final.
	PairingCodeExpired PairingCodePhase = "Expired"
	// PairingCodeBurnt means that wrong guesses spent all tries. Final.
	PairingCodeBurnt PairingCodePhase = "Burnt"
)

// PairingCode is an invitation for one machine. The code itself is in the Secret that
// status.secretName names; nothing secret is ever in this object.
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

	// status is written by the controller alone.
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

	// nodeName fixes the name of the Node. Default: the machine asks for one (its host name).
	// A DNS label, immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="nodeName must be a DNS label: lower-case letters, digits and dashes, beginning and ending with a letter or digit"
	NodeName string `json:"nodeName,omitempty"`

	// nodeLabels are put on the Node. Default none, at most 16, valid label keys and values,
	// none of mooring.dev. Immutable.
	// +optional
	// +mapType=granular
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && !format.qualifiedName().validate(k).hasValue() && !format.labelValue().validate(self[k]).hasValue())",message="nodeLabels must be valid label keys and values"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('mooring.dev/') && !k.contains('.mooring.dev/'))",message="nodeLabels may not use mooring.dev: those labels are Mooring's own"
	NodeLabels map[string]NodeLabelValue `json:"nodeLabels,omitempty"`

	// capabilities is the most an approval of a machine that pairs with this code may grant:
	// names or prefix.* of at most 128 characters. Default: no limit from the code. From 1 to
	// 256 entries, immutable.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*(\.\*)?$`
	Capabilities []string `json:"capabilities,omitempty"`

	// replaceNode lets the machine take over the existing Node nodeName with its labels,
	// policy and queue. Default false, immutable; setting it needs the verb approve on
	// pairingrequests. A Revoked Node is never replaced.
	// +optional
	// +kubebuilder:default=false
	ReplaceNode bool `json:"replaceNode,omitempty"`

	// autoApprove lets the controller approve the request of the machine that used the code.
	// Default false, immutable, only with method QR; setting it needs the verb approve on
	// pairingrequests.
	// +optional
	// +kubebuilder:default=false
	AutoApprove bool `json:"autoApprove,omitempty"`

	// issuedBy is the user name of whoever created the code, stamped by admission: leave it
	// out. At most 1024 characters, immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	IssuedBy string `json:"issuedBy,omitempty"`
}

// NodeLabelValue is the value of one label.
//
// +kubebuilder:validation:MaxLength=63
type NodeLabelValue string

// PairingCodeStatus is what the controller made of an invitation.
//
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.phase) || !(oldSelf.phase in ['Used', 'Expired', 'Burnt']) || (has(self.phase) && self.phase == oldSelf.phase)",message="a phase of Used, Expired or Burnt is final",fieldPath=".phase",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.lookupID) || (has(self.lookupID) && self.lookupID == oldSelf.lookupID)",message="lookupID is immutable once set",reason=FieldValueForbidden
type PairingCodeStatus struct {
	// phase is Active, Used, Expired or Burnt; the last three are final. Unset until the
	// Secrets are made.
	// +optional
	// +kubebuilder:validation:Enum=Active;Used;Expired;Burnt
	Phase PairingCodePhase `json:"phase,omitempty"`

	// lookupID is the public part of the code: 6 characters, unique in the cluster, immutable
	// once set.
	// +optional
	// +kubebuilder:validation:MaxLength=6
	// +kubebuilder:validation:Pattern=`^[0-9A-Z]{6}$`
	LookupID string `json:"lookupID,omitempty"`

	// expiresTime is when the code stops being valid.
	// +optional
	ExpiresTime *metav1.Time `json:"expiresTime,omitempty"`

	// secretName names the Secret of type mooring.dev/pairing-code in this namespace that
	// holds the code for people.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// attemptsLeft is how many wrong guesses are left, from 0 to 3, mirrored a little late.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3
	AttemptsLeft *int32 `json:"attemptsLeft,omitempty"`

	// usedBy names the PairingRequest that the code led to.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	UsedBy string `json:"usedBy,omitempty"`

	// conditions: Ready.
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
