package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodeDesiredState is what people want a Node to be.
type NodeDesiredState string

const (
	// NodeActive trusts the machine and delivers dispatches to it.
	NodeActive NodeDesiredState = "Active"
	// NodeSuspended trusts the machine, delivers nothing and keeps its queue.
	NodeSuspended NodeDesiredState = "Suspended"
	// NodeRevoked withdraws the trust for good.
	NodeRevoked NodeDesiredState = "Revoked"
)

// NodePresence says whether a Node can be reached now.
type NodePresence string

const (
	// PresenceOnline means a session is live.
	PresenceOnline NodePresence = "Online"
	// PresenceDegraded means a session is live but some granted capability is unavailable. The
	// message of the condition Connected names it and the reason.
	PresenceDegraded NodePresence = "Degraded"
	// PresenceStale means the session was lost a short while ago (--stale-after, 5 minutes).
	PresenceStale NodePresence = "Stale"
	// PresenceOffline means there is no session; also the state of a new Node.
	PresenceOffline NodePresence = "Offline"
)

// NodeTrust says whether the identity of a Node is good.
type NodeTrust string

const (
	// TrustPending means that no certificate has been issued yet.
	TrustPending NodeTrust = "Pending"
	// TrustTrusted means that the newest certificate is valid and the Node is Active.
	TrustTrusted NodeTrust = "Trusted"
	// TrustSuspended means that the identity is good but people suspended the Node.
	TrustSuspended NodeTrust = "Suspended"
	// TrustExpired means that the newest certificate ran out.
	TrustExpired NodeTrust = "Expired"
	// TrustRevoked means that the identity was withdrawn for good.
	TrustRevoked NodeTrust = "Revoked"
)

// Node is a paired machine in the inventory of a fleet. It is no worker of the cluster: in
// commands say mnode, because "kubectl delete node" means the core kind.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=nodes,singular=node,scope=Namespaced,shortName=mnode,categories=mooring
// +kubebuilder:printcolumn:name="Presence",type=string,JSONPath=`.status.presence`,description="Can the machine be reached now"
// +kubebuilder:printcolumn:name="Trust",type=string,JSONPath=`.status.trust`,description="Is its identity good"
// +kubebuilder:printcolumn:name="Platform",type=string,JSONPath=`.status.system.platform`,description="Operating system and architecture"
// +kubebuilder:printcolumn:name="Capabilities",type=string,JSONPath=`.status.capabilitySummary`,description="Available of granted"
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.since`,description="When the presence last changed"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Gateway",type=string,JSONPath=`.status.gateway`,priority=1
// +kubebuilder:printcolumn:name="Cert-Expires",type=string,JSONPath=`.status.certificateExpires`,priority=1
// +kubebuilder:printcolumn:name="Fingerprint",type=string,JSONPath=`.status.fingerprintShort`,priority=1
// +kubebuilder:selectablefield:JSONPath=`.status.presence`
// +kubebuilder:selectablefield:JSONPath=`.status.trust`
// +kubebuilder:selectablefield:JSONPath=`.status.gateway`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63 && !self.metadata.name.contains('.')",message="the name of a Node must be a DNS label: at most 63 lower-case letters, digits and dashes, no dots (it becomes part of the machine's SPIFFE id)"
type Node struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is who the machine is and what it may do. Required.
	// +required
	Spec NodeSpec `json:"spec"`

	// status is what was observed. Written by the gateways and the controller.
	// +optional
	// +kubebuilder:default={}
	Status NodeStatus `json:"status,omitempty"`
}

// NodeSpec is who a machine is and what it may do.
//
// +kubebuilder:validation:XValidation:rule="oldSelf.desiredState != 'Revoked' || self.desiredState == 'Revoked'",message="desiredState Revoked is final: pair the machine again under a new name, or delete this Node first",fieldPath=".desiredState",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="oldSelf.desiredState != 'Revoked' || (self.publicKeySHA256 == oldSelf.publicKeySHA256 && (!has(self.nextPublicKeySHA256) || (has(oldSelf.nextPublicKeySHA256) && self.nextPublicKeySHA256 == oldSelf.nextPublicKeySHA256)) && self.pairingRequestUID == oldSelf.pairingRequestUID)",message="the keys of a Revoked Node cannot change: delete this Node and pair the machine again",reason=FieldValueForbidden
type NodeSpec struct {
	// publicKeySHA256 is the pin: the fingerprint (64 lower-case hex digits, SHA-256 of the
	// SubjectPublicKeyInfo) of the only key that is this machine. Required. Changed only by
	// holders of the verb rekey on nodes (the controller), never once Revoked.
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	PublicKeySHA256 string `json:"publicKeySHA256"`

	// nextPublicKeySHA256 is the fingerprint of a key that is admitted beside the pin and
	// becomes the pin when it is first used. Optional, 64 lower-case hex digits. Changed only
	// by holders of the verb rekey on nodes.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	NextPublicKeySHA256 string `json:"nextPublicKeySHA256,omitempty"`

	// pairingRequestUID is the UID of the PairingRequest whose approval made or last re-keyed
	// this Node. Required, at most 64 characters. Changed only by holders of the verb rekey.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	PairingRequestUID string `json:"pairingRequestUID"`

	// serviceAccount is whose token the machine showed when it paired, and the core Node it runs
	// on: when that one is gone, this Node goes too. Set by the controller, only for machines that
	// paired by ServiceAccount. Changed only by holders of the verb rekey.
	// +optional
	ServiceAccount *ServiceAccountIdentity `json:"serviceAccount,omitempty"`

	// desiredState is Active, Suspended (trusted, but nothing is delivered and the queue
	// stays) or Revoked (final). Default Active. Mutable until Revoked.
	// +optional
	// +kubebuilder:default=Active
	// +kubebuilder:validation:Enum=Active;Suspended;Revoked
	DesiredState NodeDesiredState `json:"desiredState,omitempty"`

	// revocationReason says to people why the Node was revoked. Optional, at most 1024
	// characters, mutable.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	RevocationReason string `json:"revocationReason,omitempty"`

	// capabilityPolicy is what the machine may be asked to do. Set from the approval;
	// changing it needs the verb approve on pairingrequests. Default: nothing is allowed.
	// +optional
	CapabilityPolicy CapabilityPolicy `json:"capabilityPolicy,omitzero"`

	// maxInFlight is how many dispatches are offered to the machine at the same time.
	// Default 4, from 1 to 64, mutable.
	// +optional
	// +kubebuilder:default=4
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	MaxInFlight int32 `json:"maxInFlight,omitempty"`
}

// CapabilityPolicy is a list of what is allowed and a list of what is denied. An entry is the
// name of a capability or a prefix followed by ".*", such as system.*; deny wins over allow.
type CapabilityPolicy struct {
	// allow lists what the Node may be asked to do. Default none, at most 256 entries of at
	// most 128 characters. Mutable with the verb approve.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*(\.\*)?$`
	Allow []string `json:"allow,omitempty"`

	// deny lists what the Node may never be asked to do, whatever allow says. Default none, at
	// most 256 entries of at most 128 characters. Mutable with the verb approve.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*(\.\*)?$`
	Deny []string `json:"deny,omitempty"`
}

// NodeList is a list of Nodes.
//
// +kubebuilder:object:root=true
type NodeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Node `json:"items"`
}
