package session

import (
	"context"

	"k8s.io/apimachinery/pkg/types"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/apicall"
)

// getNode reads a Node live.
func (s *Service) getNode(ctx context.Context, key types.NamespacedName) (*v1alpha1.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, apicall.Timeout)
	defer cancel()
	node := &v1alpha1.Node{}
	if err := s.Reader.Get(ctx, key, node); err != nil {
		return nil, err
	}
	return node, nil
}
