package link_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

func TestEveryLinkOfADialerHasItsOptions(t *testing.T) {
	g := fakegateway.Start(t)
	var log bytes.Buffer
	dials, calls := 0, 0
	dialer := link.Dialer{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
		Options: []grpc.DialOption{grpc.WithUnaryInterceptor(
			func(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
				calls++
				return invoke(ctx, method, request, answer, conn, options...)
			})},
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	first, err := dialer.Dial(t.Context(), g.PairingEndpoint, link.UnverifiedTLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := first.Redial(t.Context(), link.UnverifiedTLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	for _, l := range []*link.Link{first, second} {
		// The call fails, because it names no request.
		_, _ = gatewayv1.NewPairingServiceClient(l.Conn).GetPairingRequestStatus(t.Context(), &gatewayv1.GetPairingRequestStatusRequest{})
	}
	if lines := strings.Count(log.String(), "dialing a gateway"); dials != 2 || calls != 2 || lines != 2 {
		t.Errorf("%d dials, %d calls and %d lines of the log, want 2 of each", dials, calls, lines)
	}
}
