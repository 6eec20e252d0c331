// Package v1alpha1 is the Kubernetes API of Mooring: the kinds Node, PairingCode, PairingRequest
// and CapabilityDispatch, the values of their fields, and the names of the Secrets that belong to
// them. A namespace is a fleet: no object refers to another namespace.
//
// The package depends on k8s.io/apimachinery only, so that any program may import it.
//
// +kubebuilder:object:generate=true
// +groupName=mooring.dev
package v1alpha1
