package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/nodeagent/link"
	"github.com/mooring-dev/mooring/nodeagent/store"
	"github.com/mooring-dev/mooring/test/sim"
	"github.com/mooring-dev/mooring/test/stack"
)

// rawVersion is the agent version in the Hello of the plain client.
const rawVersion = "raw"

type wire = gatewayv1.NodeService_StreamNodeEventsServer

// front is the listeners of a gateway with nothing behind them: the measurement itself sends offers
// and receives results.
type front struct {
	gatewayv1.UnimplementedNodeServiceServer
	session, raw wire

	opened   chan wire
	hellos   chan *gatewayv1.Hello
	fleet    *sim.Fleet
	plain    *link.Link
	stop     context.CancelFunc
	stopped  chan error
	answered chan struct{} // closed when the plain client ended; nil before it began
}

// newFront connects one real agent and one plain client.
func (w *world) newFront(ctx context.Context) (_ *front, err error) {
	free, err := stack.FreeAddresses(2)
	if err != nil {
		return nil, err
	}
	f := &front{opened: make(chan wire), hellos: make(chan *gatewayv1.Hello), stopped: make(chan error, 1)}
	if err := f.listen(ctx, w, free[0], free[1]); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	c, err := sim.NewClient(w.Cluster.Admin())
	if err != nil {
		return nil, err
	}
	if f.fleet, err = sim.New(ctx, sim.Options{Client: c, Dir: memoryDir, PairingEndpoint: free[0], NodeEndpoint: free[1], OwnSignature: true}); err != nil {
		return nil, err
	}
	if err := f.fleet.Ramp(ctx, 1, 1); err != nil {
		return nil, err
	}
	if f.session, err = f.accept(ctx, false); err != nil {
		return nil, err
	}
	return f, f.dialPlain(ctx)
}

// trustPause is the time between two attempts to read the trust bundles.
const trustPause = 100 * time.Millisecond

func (f *front) listen(ctx context.Context, w *world, pairing, node string) error {
	trust := gateway.NewTrust(logr.Discard())
	var bundles corev1.ConfigMap
	key := types.NamespacedName{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.TrustConfigMap}
	// The controller has not published the bundles in the first seconds of a cluster.
	for err := w.client.Get(ctx, key, &bundles); err != nil; err = w.client.Get(ctx, key, &bundles) {
		if !apierrors.IsNotFound(err) {
			return err
		}
		if err := pause(ctx, trustPause); err != nil {
			return err
		}
	}
	trust.Update(&bundles)
	counters, err := gateway.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		return err
	}
	server := gateway.New(gateway.Options{TLSDir: w.Gateways[0].TLSDir, PairingAddress: pairing, NodeAddress: node, TrustDomain: "mooring.local",
		Trust: trust, Limits: gateway.DefaultLimits(), Pairing: gatewayv1.UnimplementedPairingServiceServer{}, Node: f, Authorizer: everybody{},
		Clock: clock.RealClock{}, Metrics: counters, Log: logr.Discard()})
	serving, stop := context.WithCancel(ctx)
	f.stop = stop
	go func() { f.stopped <- server.Start(serving) }()
	return nil
}

// everybody authorizes each caller with a certificate.
type everybody struct{}

// Authorize allows every caller.
func (everybody) Authorize(context.Context, peer.Identity) error { return nil }

// Pinned counts each caller as the machine of its Node.
func (everybody) Pinned(peer.Identity) bool { return true }

// RegisterNode grants nothing: for this measurement the agent runs every offer.
func (f *front) RegisterNode(context.Context, *gatewayv1.RegisterNodeRequest) (*gatewayv1.RegisterNodeResponse, error) {
	return &gatewayv1.RegisterNodeResponse{}, nil
}

// StreamNodeEvents sends the Welcome and leaves the stream to the measurement.
func (f *front) StreamNodeEvents(stream grpc.BidiStreamingServer[gatewayv1.StreamNodeEventsRequest, gatewayv1.StreamNodeEventsResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	welcome := &gatewayv1.Welcome{SessionId: "hop", HeartbeatInterval: durationpb.New(5 * time.Minute), GatewayTime: timestamppb.Now()}
	if err := stream.Send(&gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Welcome{Welcome: welcome}}); err != nil {
		return err
	}
	select {
	case f.hellos <- first.GetHello():
		f.opened <- stream
	case <-stream.Context().Done():
	}
	<-stream.Context().Done()
	return nil
}

func (f *front) accept(ctx context.Context, raw bool) (wire, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	select {
	case hello := <-f.hellos:
		if (hello.GetAgentVersion() == rawVersion) != raw {
			return nil, fmt.Errorf("%q came first", hello.GetAgentVersion())
		}
		return <-f.opened, nil
	case err := <-f.stopped:
		f.stopped <- err
		return nil, fmt.Errorf("the listeners ended: %w", err)
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a session: %w", ctx.Err())
	}
}

// dialPlain connects the plain client, which answers every message at once.
func (f *front) dialPlain(ctx context.Context) error {
	var made *sim.Agent
	if err := f.fleet.Issue(ctx, 1, func(a *sim.Agent) error { made = a; return nil }); err != nil {
		return err
	}
	directory, err := store.Open(made.Dir())
	if err != nil {
		return err
	}
	defer directory.Close()
	own, err := directory.Identity()
	if err != nil {
		return err
	}
	bundle, err := directory.Trust()
	if err != nil {
		return err
	}
	certificate := own.TLSCertificate()
	if f.plain, err = link.Dial(ctx, f.fleet.NodeEndpoint, link.TLSConfig(bundle, &certificate, time.Now)); err != nil {
		return err
	}
	stream, err := gatewayv1.NewNodeServiceClient(f.plain.Conn).StreamNodeEvents(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	answered := make(chan struct{})
	f.answered = answered
	go func() {
		defer close(answered)
		answer(stream)
	}()
	f.raw, err = f.accept(ctx, true)
	return err
}

// answer runs the plain client: it sends a Hello, then a result for every offer.
func answer(stream gatewayv1.NodeService_StreamNodeEventsClient) {
	hello := &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Hello{Hello: &gatewayv1.Hello{AgentVersion: rawVersion}}}
	for err := stream.Send(hello); err == nil; {
		var message *gatewayv1.StreamNodeEventsResponse
		if message, err = stream.Recv(); err == nil && message.GetOffer() != nil {
			offer := message.GetOffer()
			err = stream.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: &gatewayv1.Result{
				Dispatch: offer.GetDispatch(), Outcome: gatewayv1.Result_OUTCOME_SUCCEEDED, Execution: gatewayv1.Result_EXECUTION_FINISHED, Output: offer.GetInput()}}})
		}
	}
}

func (f *front) close() error {
	var err error
	if f.plain != nil {
		err = f.plain.Close()
		if f.answered != nil {
			<-f.answered
		}
	}
	if f.fleet != nil {
		err = errors.Join(err, f.fleet.Close())
	}
	f.stop()
	return errors.Join(err, <-f.stopped)
}

func offerOf(uid string) *gatewayv1.StreamNodeEventsResponse {
	return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Offer{Offer: &gatewayv1.Offer{
		Dispatch: &gatewayv1.DispatchRef{Namespace: "hop", Name: uid, Uid: uid}, Capability: "echo", Input: []byte(`{"text":"hi"}`),
		Timeout: durationpb.New(time.Minute), Expires: timestamppb.New(time.Now().Add(time.Hour))}}}
}

func settledOf(ref *gatewayv1.DispatchRef) *gatewayv1.StreamNodeEventsResponse {
	return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Settled{Settled: &gatewayv1.Settled{Dispatch: ref}}}
}
