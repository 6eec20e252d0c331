package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodeDesiredState is the state that users request for a Node.
type NodeDesiredState string

const (
	// NodeActive trusts the machine and delivers dispatches to it.
	NodeActive NodeDesiredState = "Active"
	// NodeSuspended trusts the machine, delivers nothing and keeps its queue.
	NodeSuspended NodeDesiredState = "Suspended"
	// NodeRevoked withdraws the trust for good.
	NodeRevoked NodeDesiredState = "Revoked"
)

// NodePresence reports whether a Node can be reached at present.
type NodePresence string

const (
	// PresenceOnline means that a session is live.
	PresenceOnline NodePresence = "Online"
	// PresenceDegraded means that a session is live but a granted capability is unavailable. The
	// message of the condition Connected names the capability and the cause.
	PresenceDegraded NodePresence = "Degraded"
	// PresenceStale means that the session ended a short time ago (--stale-after, 5 minutes).
	PresenceStale NodePresence = "Stale"
	// PresenceOffline means that there is no session. It is also the presence of a new Node.
	PresenceOffline NodePresence = "Offline"
)

// NodeTrust reports whether the identity of a Node is trusted.
type NodeTrust string

const (
	// TrustPending means that no certificate has been issued yet.
	TrustPending NodeTrust = "Pending"
	// TrustTrusted means that the newest certificate is valid and the Node is Active.
	TrustTrusted NodeTrust = "Trusted"
	// TrustSuspended means that the certificate is valid but a user suspended the Node.
	TrustSuspended NodeTrust = "Suspended"
	// TrustExpired means that the newest certificate expired.
	TrustExpired NodeTrust = "Expired"
	// TrustRevoked means that the identity was revoked, which is final.
	TrustRevoked NodeTrust = "Revoked"
)

// Node is a paired machine in the inventory of a fleet. It is not a worker of the cluster. Use the
// short name mnode in commands, because "kubectl delete node" deletes the core kind.
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

	// spec is the identity of the machine and the capabilities that it may run. Required.
	// +required
	Spec NodeSpec `json:"spec"`

	// status is the observed state of the machine. The gateways and the controller write it.
	// +optional
	// +kubebuilder:default={}
	Status NodeStatus `json:"status,omitempty"`
}

// NodeSpec is the identity of a machine and the capabilities that it may run.
//
// +kubebuilder:validation:XValidation:rule="oldSelf.desiredState != 'Revoked' || self.desiredState == 'Revoked'",message="desiredState Revoked is final: pair the machine again under a new name, or delete this Node first",fieldPath=".desiredState",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="oldSelf.desiredState != 'Revoked' || (self.publicKeySHA256 == oldSelf.publicKeySHA256 && (!has(self.nextPublicKeySHA256) || (has(oldSelf.nextPublicKeySHA256) && self.nextPublicKeySHA256 == oldSelf.nextPublicKeySHA256)) && self.pairingRequestUID == oldSelf.pairingRequestUID)",message="the keys of a Revoked Node cannot change: delete this Node and pair the machine again",reason=FieldValueForbidden
type NodeSpec struct {
	// publicKeySHA256 is the pin: the fingerprint of the only key that identifies this machine. 64
	// lower-case hex digits, SHA-256 of the SubjectPublicKeyInfo. Required. Changed only by holders
	// of the verb rekey on nodes (the controller), never once Revoked.
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	PublicKeySHA256 string `json:"publicKeySHA256"`

	// nextPublicKeySHA256 is the fingerprint of a key that is admitted in addition to the pin. It
	// becomes the pin when it is first used. Optional, 64 lower-case hex digits. Changed only by
	// holders of the verb rekey on nodes.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	NextPublicKeySHA256 string `json:"nextPublicKeySHA256,omitempty"`

	// pairingRequestUID is the UID of the PairingRequest whose approval created this Node or last
	// changed its key. Required, at most 64 characters. Changed only by holders of the verb rekey.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	PairingRequestUID string `json:"pairingRequestUID"`

	// serviceAccount is the ServiceAccount of the token with which the machine paired, and the core
	// Node that it runs on. When that core Node is deleted or recreated, this Node is deleted, or
	// revoked if it is Suspended. Set by the controller, only for machines that paired by
	// ServiceAccount. Changed only by holders of the verb rekey.
	// +optional
	ServiceAccount *ServiceAccountIdentity `json:"serviceAccount,omitempty"`

	// desiredState is Active, Suspended (trusted, but nothing is delivered and the queue
	// stays) or Revoked (final). Default Active. Mutable until Revoked.
	// +optional
	// +kubebuilder:default=Active
	// +kubebuilder:validation:Enum=Active;Suspended;Revoked
	DesiredState NodeDesiredState `json:"desiredState,omitempty"`

	// revocationReason explains to users why the Node was revoked. Optional, at most 1024
	// characters, mutable.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	RevocationReason string `json:"revocationReason,omitempty"`

	// capabilityPolicy defines which capabilities the machine may run. Set from the approval;
	// changing it needs the verb approve on pairingrequests. Default: no capability is allowed.
	// +optional
	CapabilityPolicy CapabilityPolicy `json:"capabilityPolicy,omitzero"`

	// maxInFlight is the maximum number of dispatches that are offered to the machine at the same
	// time. Default 4, from 1 to 64, mutable.
	// +optional
	// +kubebuilder:default=4
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	MaxInFlight int32 `json:"maxInFlight,omitempty"`
}

// CapabilityPolicy lists the allowed and the denied capabilities. An entry is the name of a
// capability or a prefix followed by ".*", such as system.*; deny wins over allow.
type CapabilityPolicy struct {
	// allow lists the capabilities that the Node may run. Default none, at most 256 entries of at
	// most 128 characters. Mutable with the verb approve.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*(\.\*)?$`
	Allow []string `json:"allow,omitempty"`

	// deny lists the capabilities that the Node must never run, even if allow contains them.
	// Default none, at most 256 entries of at most 128 characters. Mutable with the verb approve.
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
