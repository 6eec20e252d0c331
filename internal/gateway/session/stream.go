package session

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/freshstack"
	"github.com/mooring-dev/mooring/internal/gateway/link"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
)

// helloTimeout is the time in which a machine must send its Hello.
const helloTimeout = 10 * time.Second

var errDraining = denial.New(codes.Unavailable, gatewayv1.ReasonGatewayDraining, "this gateway is shutting down; connect to another one")

// StreamNodeEvents serves a session over a stream.
func (s *Service) StreamNodeEvents(stream grpc.BidiStreamingServer[gatewayv1.StreamNodeEventsRequest, gatewayv1.StreamNodeEventsResponse]) error {
	return s.serve(stream.Context(), stream)
}

// serve runs a session from its Hello to its end. It returns as soon as the connection may be
// closed; the remaining writes continue in the background. streamCtx contains the caller.
func (s *Service) serve(streamCtx context.Context, c link.Conn) error {
	if !s.registry.track() {
		return errDraining
	}
	defer s.registry.running.Done()
	var (
		sess *session
		err  error
	)
	// The work of a session outlives its stream: received results are settled.
	ctx, cancel := context.WithCancel(context.WithoutCancel(streamCtx))
	freshstack.Do(func() { sess, err = s.startSession(streamCtx, ctx, c) })
	if err != nil {
		cancel()
		return err
	}
	sess.run(streamCtx, ctx)
	s.registry.spawn(func() {
		defer cancel()
		sess.finish(ctx, cancel)
	})
	return sess.ending.err
}

// startSession waits for the Hello and opens the session.
func (s *Service) startSession(streamCtx, ctx context.Context, c link.Conn) (*session, error) {
	id, err := caller(streamCtx)
	if err != nil {
		return nil, err
	}
	sess := s.newSession(id, c)
	s.registry.spawn(func() { sess.receive(c) })
	hello, err := sess.awaitHello(streamCtx)
	if err != nil {
		sess.debug("hello refused", "reason", err.Error())
		sess.stop(ending{err: err})
		return nil, err
	}
	sess.helloAt = s.Clock.Now()
	sess.debugHello(hello)
	release, err := s.openSession(streamCtx, ctx, sess, hello)
	if err != nil {
		sess.debug("session refused", "reason", err.Error())
		if errors.Is(err, errReplaced) {
			s.recordRepeatedDial(ctx, sess)
		}
		sess.stop(ending{err: err})
		return nil, err
	}
	release()
	return sess, nil
}

// receive passes one message of the machine to the session and starts the next receive. A machine
// is not read faster than its session works and its allowance permits. The wait for the next
// message is on a fresh, small stack.
func (s *session) receive(c link.Conn) {
	m, err := c.Recv()
	if err != nil {
		close(s.received) // Messages received before are delivered first.
		return
	}
	select {
	case s.received <- m:
	case <-s.stopped:
		return
	}
	if wait := s.reserveMessage(s.service.Clock.Now(), proto.Size(m)); wait > 0 && !s.waitUnlessStopped(wait) {
		return
	}
	s.service.registry.spawn(func() { s.receive(c) })
}

// waitUnlessStopped waits for the duration wait. It returns false if the session stops first.
func (s *session) waitUnlessStopped(wait time.Duration) bool {
	timer := s.service.Clock.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C():
		return true
	case <-s.stopped:
		return false
	}
}

func (s *session) awaitHello(ctx context.Context) (*gatewayv1.Hello, error) {
	timer := s.service.Clock.NewTimer(helloTimeout)
	defer timer.Stop()
	select {
	case m := <-s.received:
		hello := m.GetHello() // nil if the stream was closed, too
		if hello == nil {
			return nil, denial.New(codes.InvalidArgument, gatewayv1.ReasonInvalidRequest, "the first message of a session must be Hello")
		}
		return hello, checkHello(hello)
	case <-timer.C():
		return nil, status.Error(codes.DeadlineExceeded, "no Hello arrived in time")
	case <-s.service.registry.closing:
		return nil, errDraining
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Bounds of a Hello.
const (
	maxUnsettled = 8192
	maxFeatures  = 64
	minProtocol  = 1
)

func checkHello(h *gatewayv1.Hello) error {
	switch {
	case h.GetProtocolVersion() < minProtocol:
		return denial.Newf(codes.InvalidArgument, gatewayv1.ReasonProtocolTooOld, "protocol version %d is too old, the gateway needs %d: update the agent", h.GetProtocolVersion(), minProtocol)
	case h.GetJournalId() == "" || len(h.GetJournalId()) > nodestatus.MaxIDBytes || foreign.TruncateLine(h.GetJournalId(), nodestatus.MaxIDBytes) != h.GetJournalId():
		return denial.Newf(codes.InvalidArgument, gatewayv1.ReasonInvalidRequest, "journal_id must be 1 to %d printable characters", nodestatus.MaxIDBytes)
	case len(h.GetBootId()) > nodestatus.MaxIDBytes:
		return denial.Newf(codes.InvalidArgument, gatewayv1.ReasonInvalidRequest, "boot_id is longer than %d bytes", nodestatus.MaxIDBytes)
	case h.GetDialCounter() == 0 || h.GetDialCounter() > 1<<62:
		return denial.New(codes.InvalidArgument, gatewayv1.ReasonInvalidRequest, "dial_counter must be at least 1")
	case len(h.GetUnsettled()) > maxUnsettled:
		return denial.Newf(codes.InvalidArgument, gatewayv1.ReasonInvalidRequest, "%d unsettled dispatches, at most %d are taken", len(h.GetUnsettled()), maxUnsettled)
	case len(h.GetFeatures()) > maxFeatures:
		return denial.Newf(codes.InvalidArgument, gatewayv1.ReasonInvalidRequest, "%d features, at most %d are taken", len(h.GetFeatures()), maxFeatures)
	}
	return nil
}
