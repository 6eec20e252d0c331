package session

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// applyBody is the body of a server-side apply of the session's fields, and its response.
type applyBody struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Metadata   applyMetadata `json:"metadata"`
	Status     nodeFields    `json:"status"`
}

type applyMetadata struct {
	Name            string    `json:"name"`
	Namespace       string    `json:"namespace"`
	UID             types.UID `json:"uid"`
	ResourceVersion string    `json:"resourceVersion"`
}

// IsApplyConfiguration and the getters implement the interface of controller-runtime's Apply.
func (a *applyBody) IsApplyConfiguration()  {}
func (a *applyBody) GetName() *string       { return &a.Metadata.Name }
func (a *applyBody) GetNamespace() *string  { return &a.Metadata.Namespace }
func (a *applyBody) GetKind() *string       { return &a.Kind }
func (a *applyBody) GetAPIVersion() *string { return &a.APIVersion }

// UnmarshalJSON reads the metadata of a response and does not change the status. The sent status
// shares memory with values that the session and the cache of Nodes read concurrently.
func (a *applyBody) UnmarshalJSON(answer []byte) error {
	var stored struct {
		Metadata applyMetadata `json:"metadata"`
	}
	if err := json.Unmarshal(answer, &stored); err != nil {
		return err
	}
	a.Metadata = stored.Metadata
	return nil
}

// apply writes the session's fields in one write if node is still the stored state. It returns
// node with these fields and the new resourceVersion. On a conflict the caller must check which
// session the Node records now. apply forces ownership, because presence and session fields pass
// from the controller to the gateway.
func (s *Service) apply(ctx context.Context, node *v1alpha1.Node, next nodeFields) (*v1alpha1.Node, error) {
	if err := s.nodeWrites.Wait(ctx); err != nil {
		return nil, fmt.Errorf("wait for the rate limit of Node writes: %w", err)
	}
	body := &applyBody{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "Node",
		Metadata: applyMetadata{Name: node.Name, Namespace: node.Namespace, UID: node.UID, ResourceVersion: node.ResourceVersion},
		Status:   next,
	}
	sent := s.Clock.Now()
	err := s.Client.Status().Apply(ctx, body, client.FieldOwner(v1alpha1.FieldManagerSession), client.ForceOwnership)
	if err != nil {
		s.metrics.nodeWrites.WithLabelValues("error").Inc()
		return nil, fmt.Errorf("record the session of node %q: %w", node.Name, err)
	}
	s.metrics.nodeWrites.WithLabelValues("ok").Inc()
	s.watchLag.addWrite(client.ObjectKeyFromObject(node), body.Metadata.ResourceVersion, sent)
	stored := node.DeepCopy()
	stored.ResourceVersion = body.Metadata.ResourceVersion
	next.copyTo(&stored.Status)
	return stored, nil
}

// copyTo copies the session's fields into status and keeps all other fields.
func (f nodeFields) copyTo(status *v1alpha1.NodeStatus) {
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
