package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CapabilityDispatch asks one Node of its own namespace to run one capability once.
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

	// spec is what to run where. Required; immutable except cancel and ttlSecondsAfterFinished.
	// +required
	Spec CapabilityDispatchSpec `json:"spec"`

	// status is what became of it; a new object is Queued without any write.
	// +optional
	// +kubebuilder:default={phase: "Queued"}
	Status CapabilityDispatchStatus `json:"status,omitempty"`
}

// CapabilityDispatchSpec is what to run where. Immutable except cancel and
// ttlSecondsAfterFinished.
//
// +kubebuilder:validation:XValidation:rule="has(self.input) == has(oldSelf.input) && (!has(self.input) || self.input == oldSelf.input)",message="input is immutable: create another CapabilityDispatch",fieldPath=".input",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)",message="requestedBy is immutable",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="has(self.requestedByGroups) == has(oldSelf.requestedByGroups) && (!has(self.requestedByGroups) || self.requestedByGroups == oldSelf.requestedByGroups)",message="requestedByGroups is immutable",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="has(self.requestedByUID) == has(oldSelf.requestedByUID) && (!has(self.requestedByUID) || self.requestedByUID == oldSelf.requestedByUID)",message="requestedByUID is immutable",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!oldSelf.?cancel.orValue(false) || self.?cancel.orValue(false)",message="cancel can only go from false to true: leave spec.cancel out of the manifest, or create another CapabilityDispatch",reason=FieldValueForbidden
type CapabilityDispatchSpec struct {
	// nodeName is the Node of this namespace that shall run the capability; one that does not
	// exist yet is waited for. Required, a DNS label, immutable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="nodeName must be a DNS label: lower-case letters, digits and dashes, beginning and ending with a letter or digit"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="nodeName is immutable: create another CapabilityDispatch",reason=FieldValueForbidden
	NodeName string `json:"nodeName"`

	// capability is the name of what to run, such as echo or system.health. Required, at most
	// 128 characters, immutable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z][a-z0-9_-]*([.][a-z][a-z0-9_-]*)*$')",message="capability must be a dotted lower-case name such as echo or system.health"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="capability is immutable: create another CapabilityDispatch",reason=FieldValueForbidden
	Capability string `json:"capability"`

	// input is any JSON object; the capability's own schema says which. At most 262144 bytes, no
	// number beyond int64: write such a number as a string. Default: none, which the capability
	// sees as an empty object. Immutable.
	// +optional
	Input *JSON `json:"input,omitempty"`

	// maxPayloadBytes bounds the output that is kept, in bytes as the machine wrote them; a longer
	// one is cut and marked. Default 65536, from 1 to 262144, immutable.
	// +optional
	// +kubebuilder:default=65536
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=262144
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="maxPayloadBytes is immutable: create another CapabilityDispatch",reason=FieldValueForbidden
	MaxPayloadBytes int32 `json:"maxPayloadBytes,omitempty"`

	// timeoutSeconds is the run time on the machine, in seconds. Default 30, from 1 to 86400,
	// immutable.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="timeoutSeconds is immutable: create another CapabilityDispatch",reason=FieldValueForbidden
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`

	// expirySeconds is the time from creation until the capability must have started, in
	// seconds, waiting for the Node and for a person at the machine included. Default 3600,
	// from 1 to 604800, immutable.
	// +optional
	// +kubebuilder:default=3600
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=604800
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="expirySeconds is immutable: create another CapabilityDispatch",reason=FieldValueForbidden
	ExpirySeconds int32 `json:"expirySeconds,omitempty"`

	// ttlSecondsAfterFinished deletes the object so many seconds after it finished. Default:
	// kept, so that GitOps never creates and runs it again. From 0 to 31536000, mutable.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=31536000
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`

	// requestedBy is the user name of whoever created the object, stamped by admission: leave
	// it out. Shown to the person who mediates. At most 1024 characters, immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	RequestedBy string `json:"requestedBy,omitempty"`

	// requestedByGroups are the groups of that user, stamped by admission: leave them out. With
	// requestedBy they are what the right to invoke the capability is reviewed for when the
	// dispatch waited longer than a minute; an object without them is reviewed for the user alone.
	// At most 512 of at most 1024 characters, immutable.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=512
	// +kubebuilder:validation:items:MaxLength=1024
	RequestedByGroups []string `json:"requestedByGroups,omitempty"`

	// requestedByUID is the UID of that user where the authenticator knows one, stamped by
	// admission: leave it out. A ServiceAccount that was deleted and made again has another. At
	// most 1024 characters, immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	RequestedByUID string `json:"requestedByUID,omitempty"`

	// cancel asks to end the dispatch; what has started may still finish. Default false, can
	// only go to true.
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
