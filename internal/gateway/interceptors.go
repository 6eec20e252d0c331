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

	"github.com/mooring-dev/mooring/internal/gateway/aside"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// Authorizer decides whether a machine with a good certificate may call now: its Node
// is live, its key is the pin or the next pin, it is neither revoked nor being
// deleted. A refusal is a gRPC status (PermissionDenied, or Unavailable when the
// gateway cannot know).
type Authorizer interface {
	Authorize(ctx context.Context, id peer.Identity) error
	// Pinned reports whether the key is a pin of the Node as far as the gateway knows without
	// a read of the cluster. It decides about places and budgets, never about access.
	Pinned(id peer.Identity) bool
}

// guard is the interceptor chain of both listeners, in one piece so that its order
// can be read: recover, table, caller, authorise, serve, map the error, count.
type guard struct {
	call       time.Duration // ends a call of a stranger
	authorizer Authorizer
	clock      clock.PassiveClock
	metrics    *Metrics
	log        logr.Logger
}

func (g *guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
	started := g.clock.Now()
	defer func() {
		if err = g.end(info.FullMethod, recover(), err); err != nil {
			answer = nil
		}
		g.metrics.took(g.label(info.FullMethod), g.clock.Since(started))
	}()
	if ctx, err = g.admit(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	if methods[info.FullMethod].caller == stranger {
		bounded, cancel := context.WithTimeout(ctx, g.call)
		defer cancel()
		ctx = bounded
	}
	return next(ctx, req)
}

// stream waits in its handler for as long as a machine is connected: it and what it calls
// keep to a small stack.
func (g *guard) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() { err = g.end(info.FullMethod, recover(), err) }()
	called := &callerStream{ServerStream: stream}
	aside.Do(func() { called.ctx, err = g.admit(stream.Context(), info.FullMethod) })
	if err != nil {
		return err
	}
	return next(srv, called)
}

// callerStream carries the context with the caller.
type callerStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *callerStream) Context() context.Context { return s.ctx }

// end is what the caller reads of a call that returned err, or panicked with cause.
func (g *guard) end(method string, cause any, err error) error {
	if cause != nil {
		g.metrics.panics.Inc()
		// The stack holds addresses and names, no values of messages.
		err = fmt.Errorf("panic in %s: %v\n%s", method, cause, debug.Stack())
	}
	err = toStatus(g.log, method, err)
	g.metrics.finished(g.label(method), status.Code(err))
	return err
}

// admit finds out who calls and whether they may.
func (g *guard) admit(ctx context.Context, method string) (context.Context, error) {
	need := methods[method].caller
	if need == nobody {
		return nil, status.Errorf(codes.PermissionDenied, "method %s is not allowed", g.label(method))
	}
	p, ok := grpcpeer.FromContext(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "there is no connection behind this call")
	}
	info, ok := p.AuthInfo.(authInfo)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "TLS is required")
	}
	ctx = peer.WithConnection(ctx, info.connection)
	if need == stranger {
		return ctx, nil
	}
	if info.identity == nil {
		return nil, status.Error(codes.Unauthenticated, "this method needs a client certificate")
	}
	// A connection may outlive its certificate by hours; new calls may not.
	if end := info.identity.Certificate.NotAfter; g.clock.Now().After(end) {
		return nil, status.Errorf(codes.Unauthenticated,
			"the certificate of this connection expired at %s; connect again with the renewed one", end.UTC().Format(time.RFC3339))
	}
	err := g.authorizer.Authorize(ctx, *info.identity)
	if info.node != nil {
		if err != nil {
			info.node.refused(err)
		} else {
			info.node.authorized()
		}
	}
	if err != nil {
		return nil, err
	}
	return peer.With(ctx, *info.identity), nil
}

// label keeps the values of metric labels bounded: strangers choose method names.
func (g *guard) label(method string) string {
	if _, ok := methods[method]; !ok {
		return "unlisted"
	}
	return method
}
