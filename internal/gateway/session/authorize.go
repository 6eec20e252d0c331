package session

import (
	"context"

	"google.golang.org/grpc/codes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// Authorize returns nil if the machine with a valid certificate may call now. Its Node must exist,
// be neither revoked nor being deleted, and pin the key as current or next. The pin, not the
// signature, is the identity. If the cached Node is missing, or refuses the machine and is not
// revoked, Authorize reads the Node live. The cache may lag behind a pairing or a rotation.
func (s *Service) Authorize(ctx context.Context, id peer.Identity) error {
	node := &v1alpha1.Node{}
	key := keyOf(id)
	err := s.Cache.Get(ctx, key, node)
	if err == nil {
		refusal := authorize(node, id)
		if refusal == nil || node.Spec.DesiredState == v1alpha1.NodeRevoked {
			return refusal // Revoked is final: a live read cannot change it.
		}
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if !s.liveReads.allow(key) {
		return denial.New(codes.ResourceExhausted, gatewayv1.ReasonRateLimited, "the gateway does not find the key of this machine; wait before the next call, and pair the machine again if this lasts")
	}
	if err := s.Reader.Get(ctx, key, node); err != nil {
		if apierrors.IsNotFound(err) {
			return denial.New(codes.PermissionDenied, gatewayv1.ReasonNodeNotFound, "there is no Node for this certificate; pair the machine again")
		}
		return err
	}
	return authorize(node, id)
}

// Pinned reports whether the cached Node authorizes the caller. It never waits for the
// cache and reads nothing live.
func (s *Service) Pinned(id peer.Identity) bool {
	s.mu.Lock()
	synced := s.synced
	s.mu.Unlock()
	if !synced {
		return false
	}
	node := &v1alpha1.Node{}
	return s.Cache.Get(context.Background(), keyOf(id), node) == nil && authorize(node, id) == nil
}

// authorize returns nil if node pins the key of id and is neither revoked nor being deleted. Its
// errors are sent to the machine.
func authorize(node *v1alpha1.Node, id peer.Identity) error {
	spec := &node.Spec
	switch key := id.PublicKeySHA256; {
	case spec.DesiredState == v1alpha1.NodeRevoked:
		return denial.New(codes.PermissionDenied, gatewayv1.ReasonNodeRevoked, "the Node of this machine is revoked; pair it again under a new name")
	case !node.DeletionTimestamp.IsZero():
		return denial.New(codes.PermissionDenied, gatewayv1.ReasonNodeDeleted, "the Node of this machine is being deleted; pair it again")
	case key == "" || (key != spec.PublicKeySHA256 && key != spec.NextPublicKeySHA256):
		return denial.New(codes.PermissionDenied, gatewayv1.ReasonKeyNotPinned, "the key of this machine is not the one its Node is pinned to; pair it again")
	default:
		return nil
	}
}

func keyOf(id peer.Identity) types.NamespacedName {
	return types.NamespacedName{Namespace: id.ID.Namespace, Name: id.ID.Node}
}
