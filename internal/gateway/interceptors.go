package gateway

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"k8s.io/utils/clock"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/freshstack"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

// Authorizer decides whether a machine with a valid certificate may call now. Its Node must be live
// and neither revoked nor being deleted, and its key must be the pin or the next pin. A refusal is
// a gRPC status: PermissionDenied, or Unavailable when the gateway cannot know.
type Authorizer interface {
	Authorize(ctx context.Context, id peer.Identity) error
	// Pinned reports whether the key is a pin of the Node as far as the gateway knows without a
	// read of the cluster. The answer decides about limits and budgets, never about access.
	Pinned(id peer.Identity) bool
}

// guard is the interceptor chain of both listeners. It is in one piece so that its order can be
// read: recover, look up the method, identify the caller, authorize, serve, map the error, count.
type guard struct {
	callTimeout time.Duration // bounds a call of an unauthenticated caller
	authorizer  Authorizer
	clock       clock.PassiveClock
	metrics     *Metrics
	log         logr.Logger
}

func (g *guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (response any, err error) {
	started := g.clock.Now()
	defer func() {
		if err = g.finishCall(info.FullMethod, recover(), err); err != nil {
			response = nil
		}
		g.metrics.observeDuration(g.methodLabel(info.FullMethod), g.clock.Since(started))
	}()
	if ctx, err = g.authorize(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	if methods[info.FullMethod].caller == unauthenticated {
		bounded, cancel := context.WithTimeout(ctx, g.callTimeout)
		defer cancel()
		ctx = bounded
	}
	return next(ctx, req)
}

// stream runs for as long as a machine is connected. It and the functions that it calls must
// therefore keep the stack small.
func (g *guard) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() { err = g.finishCall(info.FullMethod, recover(), err) }()
	withCaller := &callerStream{ServerStream: stream}
	freshstack.Do(func() { withCaller.ctx, err = g.authorize(stream.Context(), info.FullMethod) })
	if err != nil {
		return err
	}
	return next(srv, withCaller)
}

// callerStream is a stream whose context holds the caller.
type callerStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *callerStream) Context() context.Context { return s.ctx }

// finishCall returns the error that the caller reads for a call that returned err, or panicked with
// cause.
func (g *guard) finishCall(method string, cause any, err error) error {
	if cause != nil {
		g.metrics.panics.Inc()
		// The stack holds addresses and names, no values of messages.
		err = fmt.Errorf("panic in %s: %v\n%s", method, cause, debug.Stack())
	}
	err = toStatus(g.log, method, err)
	g.metrics.countFinished(g.methodLabel(method), status.Code(err))
	return err
}

// authorize identifies the caller and decides whether it may call the method.
func (g *guard) authorize(ctx context.Context, method string) (context.Context, error) {
	need := methods[method].caller
	if need == noCaller {
		return nil, denial.Newf(codes.PermissionDenied, gatewayv1.ReasonMethodNotAllowed, "method %s is not allowed", g.methodLabel(method))
	}
	p, ok := grpcpeer.FromContext(ctx)
	if !ok {
		return nil, denial.New(codes.Unauthenticated, gatewayv1.ReasonTLSRequired, "this call has no connection")
	}
	info, ok := p.AuthInfo.(authInfo)
	if !ok {
		return nil, denial.New(codes.Unauthenticated, gatewayv1.ReasonTLSRequired, "TLS is required")
	}
	ctx = peer.WithConnection(ctx, info.connection)
	if need == unauthenticated {
		return ctx, nil
	}
	if info.identity == nil {
		return nil, denial.New(codes.Unauthenticated, gatewayv1.ReasonCertificateRequired, "this method needs a client certificate")
	}
	// A connection may outlive its certificate by hours; new calls may not.
	if end := info.identity.Certificate.NotAfter; g.clock.Now().After(end) {
		return nil, denial.Newf(codes.Unauthenticated, gatewayv1.ReasonCertificateExpired,
			"the certificate of this connection expired at %s; connect again with the renewed one", end.UTC().Format(time.RFC3339))
	}
	err := g.authorizer.Authorize(ctx, *info.identity)
	g.debugAuthorized(method, info.identity.ID, err)
	if info.node != nil {
		if err != nil {
			info.node.countRefusal(err)
		} else {
			info.node.markAuthorized()
		}
	}
	if err != nil {
		return nil, err
	}
	return peer.NewContext(ctx, *info.identity), nil
}

// debugAuthorized writes a debug line about the decision on a call of a machine; err is its refusal.
func (g *guard) debugAuthorized(method string, id identity.ID, err error) {
	log := g.log.V(1)
	switch {
	case !log.Enabled():
	case err == nil:
		log.Info("call authorized", "namespace", id.Namespace, "node", id.Node, "method", method)
	default:
		log.Info("call denied", "namespace", id.Namespace, "node", id.Node, "method", method, "reason", err.Error())
	}
}

// methodLabel returns the method as a metric label. Methods that are not in the table share one
// value, because a client chooses the method name.
func (g *guard) methodLabel(method string) string {
	if _, ok := methods[method]; !ok {
		return "unlisted"
	}
	return method
}
