package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// shiftedClock returns the real time plus an offset.
type shiftedClock struct{ by atomic.Int64 }

func (c *shiftedClock) shift(by time.Duration)          { c.by.Store(int64(by)) }
func (c *shiftedClock) Now() time.Time                  { return time.Now().Add(time.Duration(c.by.Load())) }
func (c *shiftedClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func TestTheTableHoldsExactlyTheRegisteredMethods(t *testing.T) {
	r := prepareGateway(t)
	registered := map[string]callerKind{}
	for server, need := range map[*grpc.Server]callerKind{r.Server.pairing: unauthenticated, r.Server.node: pinnedMachine} {
		for service, info := range server.GetServiceInfo() {
			for _, method := range info.Methods {
				registered["/"+service+"/"+method.Name] = need
			}
		}
	}
	if len(registered) < 10 {
		t.Fatalf("only %d methods are registered", len(registered))
	}
	for method, need := range registered {
		if methods[method].caller != need {
			t.Errorf("%s asks for caller kind %d, want %d", method, methods[method].caller, need)
		}
	}
	for method := range methods {
		if _, ok := registered[method]; !ok {
			t.Errorf("%s is in the table but is not served", method)
		}
	}
}

func TestAMethodThatIsNotInTheTableIsRefused(t *testing.T) {
	r := prepareGateway(t)
	served := false
	r.Server.node.RegisterService(&grpc.ServiceDesc{
		ServiceName: "mooring.gateway.v1.Forgotten", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Open", Handler: func(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
			return intercept(ctx, &emptypb.Empty{}, &grpc.UnaryServerInfo{FullMethod: "/mooring.gateway.v1.Forgotten/Open"},
				func(context.Context, any) (any, error) { served = true; return &emptypb.Empty{}, nil })
		}}},
	}, struct{}{})
	r.run(t)
	conn := dial(t, r.nodeAddress(), r.clientTLS(r.deviceCA.IssueDeviceTLS(t, robot)))
	err := conn.Invoke(t.Context(), "/mooring.gateway.v1.Forgotten/Open", &emptypb.Empty{}, &emptypb.Empty{})
	if status.Code(err) != codes.PermissionDenied || served {
		t.Errorf("got %v (served: %v), want PermissionDenied", err, served)
	}
}

func TestTheAuthorizerIsAskedForUnaryCallsAndStreams(t *testing.T) {
	refusal := status.Error(codes.PermissionDenied, "the node is revoked")
	r := startGateway(t, func(_ *testGateway, o *Options) {
		o.Authorizer = authorizer(func(_ context.Context, id peer.Identity) error {
			if id.ID != robot {
				return errors.New("asked about another identity")
			}
			return refusal
		})
	})
	client := r.nodeClient(t, r.deviceCA.IssueDeviceTLS(t, robot))
	_, err := client.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{})
	if status.Code(err) != codes.PermissionDenied || status.Convert(err).Message() != "the node is revoked" {
		t.Errorf("unary call: got %v, want the refusal", err)
	}
	stream, err := client.StreamNodeEvents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("stream: got %v, want PermissionDenied", err)
	}
}

func TestAPanicIsAnsweredWithoutItsDetail(t *testing.T) {
	r := startGateway(t, func(r *testGateway, o *Options) {
		o.Log = logr.Discard()
		r.node.register = func(context.Context) error { panic("secret detail") }
	})
	client := r.nodeClient(t, r.deviceCA.IssueDeviceTLS(t, robot))
	_, err := client.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{})
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want Internal without the detail", err)
	}
	r.node.register = nil
	if _, err := client.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
		t.Errorf("the next call on the same connection: %v", err)
	}
}

func TestAPanicBesideAStreamEndsThatStreamAlone(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	r := startGateway(t, func(_ *testGateway, o *Options) {
		o.Log = logr.Discard()
		o.Authorizer = authorizer(func(context.Context, peer.Identity) error {
			if broken.Load() {
				panic("secret detail")
			}
			return nil
		})
	})
	client := r.nodeClient(t, r.deviceCA.IssueDeviceTLS(t, robot))
	call := func() error {
		stream, err := client.StreamNodeEvents(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&gatewayv1.StreamNodeEventsRequest{}) // the error of Recv contains the reason
		_, err = stream.Recv()
		return err
	}
	if err := call(); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want Internal without the detail", err)
	}
	broken.Store(false)
	if err := call(); !errors.Is(err, io.EOF) {
		t.Errorf("the next stream on the same connection: %v", err)
	}
}

func TestErrorsOfTheInsideStayInside(t *testing.T) {
	nodes := schema.GroupResource{Group: "mooring.dev", Resource: "nodes"}
	for _, test := range []struct {
		name string
		err  error
		want codes.Code
		says string
	}{
		{"a status is meant to be read", status.Error(codes.NotFound, "no such request"), codes.NotFound, "no such request"},
		{"a wrapped status is not", fmt.Errorf("secret: %w", status.Error(codes.NotFound, "x")), codes.Internal, "internal error"},
		{"any other error", errors.New("secret path /etc/x"), codes.Internal, "internal error"},
		{"a deadline", fmt.Errorf("secret: %w", context.DeadlineExceeded), codes.DeadlineExceeded, "took too long"},
		{"a cancelled call", fmt.Errorf("secret: %w", context.Canceled), codes.Canceled, "cancelled"},
		{"an apiserver that is away", fmt.Errorf("secret: %w", apierrors.NewServiceUnavailable("x")), codes.Unavailable, "cannot reach"},
		{"a lost race", apierrors.NewConflict(nodes, "secret", errors.New("x")), codes.Unavailable, "cannot reach"},
		{"a forbidden request", apierrors.NewForbidden(nodes, "secret", errors.New("x")), codes.Unavailable, "cannot reach"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := status.Convert(toStatus(logr.Discard(), "/m", test.err))
			if got.Code() != test.want || !strings.Contains(got.Message(), test.says) || strings.Contains(got.Message(), "secret") {
				t.Errorf("got %s %q, want %s saying %q", got.Code(), got.Message(), test.want, test.says)
			}
			// A broken connection ends with the same codes, but without details. Agents use the
			// details to distinguish the two.
			if fromGateway := test.want == codes.Unavailable || test.want == codes.Internal; fromGateway != (len(got.Details()) > 0) {
				t.Errorf("%s carries %v", got.Code(), got.Details())
			}
		})
	}
}

// TestEveryStatusOfTheGatewayHasOneReason verifies that a denial keeps its reason, and that a status
// without one gets the marker by which agents know that the gateway answered.
func TestEveryStatusOfTheGatewayHasOneReason(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a denial":         {denial.New(codes.Unavailable, gatewayv1.ReasonGatewayDraining, "m"), "GATEWAY_DRAINING"},
		"a status without": {status.Error(codes.Unavailable, "m"), "SaidByGateway"},
		"a lost cluster":   {apierrors.NewServiceUnavailable("x"), "CLUSTER_UNREACHABLE"},
		"any other error":  {errors.New("x"), "INTERNAL"},
	} {
		var reasons []string
		for _, detail := range status.Convert(toStatus(logr.Discard(), "/m", c.err)).Details() {
			if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == "mooring.dev" {
				reasons = append(reasons, info.GetReason())
			}
		}
		if !slices.Equal(reasons, []string{c.want}) {
			t.Errorf("%s: the reasons are %v, want %s", name, reasons, c.want)
		}
	}
}
