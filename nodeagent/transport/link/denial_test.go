package link

import (
	"fmt"
	"io"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

// TestOnlyTheReasonOfAGatewayCounts covers the marker of earlier gateways, which agents still take for
// a sign that the gateway answered, and reasons that are no constant of a gateway.
func TestOnlyTheReasonOfAGatewayCounts(t *testing.T) {
	with := func(reason, domain string) error {
		s, err := status.New(codes.Unavailable, "m").WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: domain})
		if err != nil {
			t.Fatal(err)
		}
		return s.Err()
	}
	for name, c := range map[string]struct {
		err     error
		reason  string
		gateway bool
	}{
		"a reason":          {with("NODE_REVOKED", "mooring.dev"), "NODE_REVOKED", true},
		"a wrapped one":     {fmt.Errorf("%w: %w", io.EOF, with("NODE_REVOKED", "mooring.dev")), "NODE_REVOKED", true},
		"a later one":       {with("FROM_THE_FUTURE", "mooring.dev"), "FROM_THE_FUTURE", true},
		"the marker":        {with(gatewayv1.ReasonSaidByGateway, "mooring.dev"), "", true},
		"of another domain": {with("NODE_REVOKED", "example.com"), "", true},
		"hostile":           {with("\x1b[2J", "mooring.dev"), "", true},
		"without details":   {status.Error(codes.Unavailable, "m"), "", false},
		"no status":         {io.EOF, "", false},
	} {
		if got := DenialReason(c.err); got != c.reason || IsGatewayStatus(c.err) != c.gateway {
			t.Errorf("%s: reason %q, of a gateway %v; want %q, %v", name, got, IsGatewayStatus(c.err), c.reason, c.gateway)
		}
	}
}
