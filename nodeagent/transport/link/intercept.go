package link

import (
	"context"

	"google.golang.org/grpc"
)

type interceptorKey struct{}

// WithStreamInterceptor makes every Link that is dialed under ctx open its streams through
// intercept. A program that simulates a faulty machine or network uses it.
func WithStreamInterceptor(ctx context.Context, intercept grpc.StreamClientInterceptor) context.Context {
	return context.WithValue(ctx, interceptorKey{}, intercept)
}

// interceptorOptions returns the options of a client connection that install the interceptor of
// ctx.
func interceptorOptions(ctx context.Context) []grpc.DialOption {
	if intercept, ok := ctx.Value(interceptorKey{}).(grpc.StreamClientInterceptor); ok {
		return []grpc.DialOption{grpc.WithStreamInterceptor(intercept)}
	}
	return nil
}
