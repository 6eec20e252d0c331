package session

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/dispatchtable"
	"github.com/mooring-dev/mooring/internal/gateway/link"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/gateway/publisher"
)

// newSession returns a session that has not received its Hello yet.
func (s *Service) newSession(id peer.Identity, c link.Conn) *session {
	sess := &session{
		service: s, key: keyOf(id), id: uuid.NewString(), caller: id,
		inbox: newInbox(), received: make(chan *gatewayv1.StreamNodeEventsRequest),
		done:    make(chan func(context.Context)),
		stopped: make(chan struct{}), replaced: make(chan struct{}), closed: make(chan struct{}),
		allowance: s.allowances.forNode(keyOf(id)),
	}
	sess.publisher = publisher.New(&sess.writes)
	sess.outbox = link.NewOutbox(c.Send, s.registry.spawn, func(error) {
		sess.stop(ending{reason: v1alpha1.ReasonSessionLost, err: status.Error(codes.Canceled, "the machine cannot be reached")})
	})
	return sess
}

// getAuthorizedNode reads the Node of a machine live and returns an error unless the machine is
// authorized.
func (s *Service) getAuthorizedNode(ctx context.Context, id peer.Identity) (*v1alpha1.Node, error) {
	node, err := s.getNode(ctx, keyOf(id))
	if apierrors.IsNotFound(err) {
		return nil, denial.New(codes.PermissionDenied, gatewayv1.ReasonNodeNotFound, "there is no Node for this certificate; pair the machine again")
	}
	if err != nil {
		return nil, err
	}
	node.ManagedFields = nil
	return node, authorize(node, id)
}

// sendWelcome sends Welcome, the CA bundle and cancellations to the machine, then offers.
func (s *session) sendWelcome(ctx context.Context, hello *gatewayv1.Hello) {
	now := s.service.Clock.Now()
	s.wakeAt = now // The first tick sets the next alarm.
	s.maxAgeAt = now.Add(s.service.MaxAge/2 + s.service.randomDuration(s.service.MaxAge/2))
	sum, _ := hex.DecodeString(s.service.Bundle().SHA256())
	s.send(&gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Welcome{Welcome: &gatewayv1.Welcome{
		SessionId:          s.id,
		HeartbeatInterval:  durationpb.New(s.service.HeartbeatInterval),
		GatewayTime:        timestamppb.New(s.service.Time.Now()),
		BundleSha256:       sum,
		Features:           s.commonFeatures(),
		ProcessingDuration: durationpb.New(now.Sub(s.helloAt)),
	}}})
	s.debug("welcome sent")
	s.sendBundle()
	// Cancel the dispatches that the machine still runs although another writer has ended them.
	for _, u := range hello.GetUnsettled() {
		uid := types.UID(u.GetDispatch().GetUid())
		if !s.table.Has(uid) && u.GetState() != gatewayv1.UnsettledDispatch_STATE_FINISHED {
			s.send(dispatchtable.CancelMessage(u.GetDispatch()))
		}
	}
	// An old copy of a journal may still contain the results of these dispatches.
	for _, ref := range s.unverified {
		s.send(dispatchtable.CancelMessage(ref))
	}
	s.unverified = nil
	s.publisher.MarkPublished()
	s.offer(ctx)
}

// commonFeatures returns the features of the Hello that this gateway uses.
func (s *session) commonFeatures() []gatewayv1.Feature {
	if !s.clearanceSupported {
		return nil
	}
	return []gatewayv1.Feature{gatewayv1.Feature_FEATURE_CLEARANCE}
}

// randomDuration returns a random duration between 0 and d, so that machines do not reconnect
// together.
func (s *Service) randomDuration(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(rand.Int64N(int64(d)))
}
