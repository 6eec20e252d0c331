package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CapabilityDispatch requests one run of one capability on one Node of its namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=capabilitydispatches,singular=capabilitydispatch,scope=Namespaced,shortName=cdisp,categories=mooring
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.nodeName`
// +kubebuilder:printcolumn:name="Capability",type=string,JSONPath=`.spec.capability`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Execution",type=string,JSONPath=`.status.execution`,description="What is proven about the run"
// +kubebuilder:printcolumn:name="Requested-By",type=string,JSONPath=`.spec.requestedBy`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.error.code`,description="Why it did not succeed",priority=1
// +kubebuilder:selectablefield:JSONPath=`.spec.nodeName`
// +kubebuilder:selectablefield:JSONPath=`.spec.capability`
// +kubebuilder:selectablefield:JSONPath=`.status.phase`
type CapabilityDispatch struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the request. Required; immutable except cancel and ttlSecondsAfterFinished.
	// +required
	Spec CapabilityDispatchSpec `json:"spec"`

	// status is the state of the dispatch. A new object is Queued without any write.
	// +optional
	// +kubebuilder:default={phase: "Queued"}
	Status CapabilityDispatchStatus `json:"status,omitempty"`
}

// CapabilityDispatchSpec defines the capability, its input and the Node. Immutable except cancel
// and ttlSecondsAfterFinished.
//
// +kubebuilder:validation:XValidation:rule="has(self.input) == has(oldSelf.input) && (!has(self.input) || self.input == oldSelf.input)",message="input is immutable: create another CapabilityDispatch",fieldPath=".input",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)",message="requestedBy is immutable",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="has(self.requestedByGroups) == has(oldSelf.requestedByGroups) && (!has(self.requestedByGroups) || self.requestedByGroups == oldSelf.requestedByGroups)",message="requestedByGroups is immutable",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="has(self.requestedByUID) == has(oldSelf.requestedByUID) && (!has(self.requestedByUID) || self.requestedByUID == oldSelf.requestedByUID)",message="requestedByUID is immutable",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!oldSelf.?cancel.orValue(false) || self.?cancel.orValue(false)",message="cancel can only go from false to true: leave spec.cancel out of the manifest, or create another CapabilityDispatch",reason=FieldValueForbidden
type CapabilityDispatchSpec struct {
	// nodeName is the Node of this namespace that runs the capability. If the Node does not exist
	// yet, the dispatch waits for it. Required, a DNS label, immutable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="nodeName must be a DNS label: lower-case letters, digits and dashes, beginning and ending with a letter or digit"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="nodeName is immutable: create another CapabilityDispatch",reason=FieldValueForbidden
	NodeName string `json:"nodeName"`

	// capability is the name of the capability to run, such as echo or system.health. Required, at
	// most 128 characters, immutable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z][a-z0-9_-]*([.][a-z][a-z0-9_-]*)*$')",message="capability must be a dotted lower-case name such as echo or system.health"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="capability is immutable: create another CapabilityDispatch",reason=FieldValueForbidden
	Capability string `json:"capability"`

	// input is a JSON object that matches the schema of the capability. At most 262144 bytes, no
	// number beyond int64: write such a number as a string. Default: none, which the capability
	// receives as an empty object. Immutable.
	// +optional
	Input *JSON `json:"input,omitempty"`

	// maxPayloadBytes is the maximum size of the stored output, in bytes as the machine wrote them.
	// Longer output is truncated, and outputTruncated is set. Default 65536, from 1 to 262144,
	// immutable.
	// +optional
	// +kubebuilder:default=65536
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=262144
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="maxPayloadBytes is immutable: create another CapabilityDispatch",reason=FieldValueForbidden
	MaxPayloadBytes int32 `json:"maxPayloadBytes,omitempty"`

	// timeoutSeconds is the maximum run time on the machine, in seconds. Default 30, from 1 to
	// 86400, immutable.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="timeoutSeconds is immutable: create another CapabilityDispatch",reason=FieldValueForbidden
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`

	// expirySeconds is the time from creation within which the capability must start, in seconds.
	// It includes waiting for the Node and for a person at the machine. Default 3600, from 1 to
	// 604800, immutable.
	// +optional
	// +kubebuilder:default=3600
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=604800
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="expirySeconds is immutable: create another CapabilityDispatch",reason=FieldValueForbidden
	ExpirySeconds int32 `json:"expirySeconds,omitempty"`

	// ttlSecondsAfterFinished is the time after the end at which the object is deleted, in seconds.
	// Default: kept, so that GitOps does not create and run it again. From 0 to 31536000, mutable.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=31536000
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`

	// requestedBy is the name of the user who created the object. Admission sets it: leave it out.
	// It is shown to the person who mediates. At most 1024 characters, immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	RequestedBy string `json:"requestedBy,omitempty"`

	// requestedByGroups are the groups of that user. Admission sets them: leave them out. If the
	// dispatch waits longer than a minute, the right to invoke the capability is reviewed again for
	// requestedBy and these groups. Without groups, the review is for the user alone. At most 512
	// of at most 1024 characters, immutable.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=512
	// +kubebuilder:validation:items:MaxLength=1024
	RequestedByGroups []string `json:"requestedByGroups,omitempty"`

	// requestedByUID is the UID of that user, if the authenticator provides one. Admission sets it:
	// leave it out. A ServiceAccount that was deleted and recreated has another UID. At most 1024
	// characters, immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	RequestedByUID string `json:"requestedByUID,omitempty"`

	// cancel requests the end of the dispatch; a run that has started may still finish. Default
	// false, can only change to true.
	// +optional
	Cancel bool `json:"cancel,omitempty"`
}

// CapabilityDispatchList is a list of CapabilityDispatches.
//
// +kubebuilder:object:root=true
type CapabilityDispatchList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CapabilityDispatch `json:"items"`
}
