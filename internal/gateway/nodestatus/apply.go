package nodestatus

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/types"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// ApplyBody is the body of a server-side apply of the session's fields, and its response.
type ApplyBody struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Metadata   applyMetadata `json:"metadata"`
	Status     Fields        `json:"status"`
}

type applyMetadata struct {
	Name            string    `json:"name"`
	Namespace       string    `json:"namespace"`
	UID             types.UID `json:"uid"`
	ResourceVersion string    `json:"resourceVersion"`
}

// IsApplyConfiguration implements runtime.ApplyConfiguration, as the getters below do for
// controller-runtime's Apply.
func (a *ApplyBody) IsApplyConfiguration() {}

// GetName returns the name of the Node.
func (a *ApplyBody) GetName() *string { return &a.Metadata.Name }

// GetNamespace returns the namespace of the Node.
func (a *ApplyBody) GetNamespace() *string { return &a.Metadata.Namespace }

// GetKind returns Node.
func (a *ApplyBody) GetKind() *string { return &a.Kind }

// GetAPIVersion returns the group and version of the API.
func (a *ApplyBody) GetAPIVersion() *string { return &a.APIVersion }

// UnmarshalJSON reads the metadata of a response and does not change the status. The sent status
// shares memory with values that the session and the cache of Nodes read concurrently.
func (a *ApplyBody) UnmarshalJSON(answer []byte) error {
	var stored struct {
		Metadata applyMetadata `json:"metadata"`
	}
	if err := json.Unmarshal(answer, &stored); err != nil {
		return err
	}
	a.Metadata = stored.Metadata
	return nil
}

// NewApplyBody returns the body that writes next to the status of node if node is still the stored
// state.
func NewApplyBody(node *v1alpha1.Node, next Fields) *ApplyBody {
	return &ApplyBody{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "Node",
		Metadata: applyMetadata{Name: node.Name, Namespace: node.Namespace, UID: node.UID, ResourceVersion: node.ResourceVersion},
		Status:   next,
	}
}

// StoredNode returns node with the sent fields and the resourceVersion of the response.
func (a *ApplyBody) StoredNode(node *v1alpha1.Node) *v1alpha1.Node {
	stored := node.DeepCopy()
	stored.ResourceVersion = a.Metadata.ResourceVersion
	a.Status.copyTo(&stored.Status)
	return stored
}

// copyTo copies the session's fields into status and keeps all other fields.
func (f Fields) copyTo(status *v1alpha1.NodeStatus) {
	status.Presence, status.Since, status.Gateway = f.Presence, f.Since, f.Gateway
	status.SessionID, status.SessionStartedTime, status.SessionEndedTime = f.SessionID, f.SessionStartedTime, f.SessionEndedTime
	status.BootID, status.JournalID, status.DialCounter = f.BootID, f.JournalID, f.DialCounter
	status.RegisteredTime, status.LastConnectedTime, status.LastHeartbeatTime = f.RegisteredTime, f.LastConnectedTime, f.LastHeartbeatTime
	status.LastEvent, status.System = f.LastEvent, f.System
	status.Capabilities, status.CapabilitySummary = f.Capabilities, f.CapabilitySummary
	status.Certificate, status.TrustBundleSHA256 = f.Certificate, f.TrustBundleSHA256
	status.RevocationRequest = f.RevocationRequest
	for _, condition := range status.Conditions {
		if !isSessionCondition(condition.Type) {
			f.Conditions = append(f.Conditions, condition)
		}
	}
	status.Conditions = f.Conditions
}
