package link

import (
	"context"

	"google.golang.org/grpc"
)

type interceptorKey struct{}

// WithStreamInterceptor makes every Link that is dialed under ctx open its streams through
// intercept: for a program that plays what a faulty machine or network does.
func WithStreamInterceptor(ctx context.Context, intercept grpc.StreamClientInterceptor) context.Context {
	return context.WithValue(ctx, interceptorKey{}, intercept)
}

// interceptions are the options of a client connection that carry the interceptor of ctx.
func interceptions(ctx context.Context) []grpc.DialOption {
	if intercept, ok := ctx.Value(interceptorKey{}).(grpc.StreamClientInterceptor); ok {
		return []grpc.DialOption{grpc.WithStreamInterceptor(intercept)}
	}
	return nil
}
