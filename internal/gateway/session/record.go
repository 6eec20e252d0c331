package session

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
)

// apply writes the session's fields in one write if node is still the stored state. It returns
// node with these fields and the new resourceVersion. On a conflict the caller must check which
// session the Node records now. apply forces ownership, because presence and session fields pass
// from the controller to the gateway.
func (s *Service) apply(ctx context.Context, node *v1alpha1.Node, next nodestatus.Fields) (*v1alpha1.Node, error) {
	if err := s.nodeWrites.Wait(ctx); err != nil {
		return nil, fmt.Errorf("wait for the rate limit of Node writes: %w", err)
	}
	body := nodestatus.NewApplyBody(node, next)
	sent := s.Clock.Now()
	err := s.Client.Status().Apply(ctx, body, client.FieldOwner(v1alpha1.FieldManagerSession), client.ForceOwnership)
	if err != nil {
		s.metrics.nodeWrites.WithLabelValues("error").Inc()
		return nil, fmt.Errorf("record the session of node %q: %w", node.Name, err)
	}
	s.metrics.nodeWrites.WithLabelValues("ok").Inc()
	s.watchLag.addWrite(client.ObjectKeyFromObject(node), body.Metadata.ResourceVersion, sent)
	return body.StoredNode(node), nil
}
