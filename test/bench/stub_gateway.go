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
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/internal/gateway"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
	"github.com/mooring-dev/mooring/test/sim"
)

// rawAgentVersion is the agent version in the Hello of the plain client.
const rawAgentVersion = "raw"

type nodeStream = gatewayv1.NodeService_StreamNodeEventsServer

// stubGateway is the listeners of a gateway with nothing behind them: the measurement itself sends offers
// and receives results.
type stubGateway struct {
	gatewayv1.UnimplementedNodeServiceServer
	session, raw nodeStream

	streams         chan nodeStream
	hellos          chan *gatewayv1.Hello
	fleet           *sim.Fleet
	plain           *link.Link
	stop            context.CancelFunc
	stopped         chan error
	plainClientDone chan struct{} // closed when the plain client ended; nil before it began
}

// newStubGateway connects one real agent and one plain client.
func (w *system) newStubGateway(ctx context.Context) (_ *stubGateway, err error) {
	free, err := stack.FreeAddresses(2)
	if err != nil {
		return nil, err
	}
	f := &stubGateway{streams: make(chan nodeStream), hellos: make(chan *gatewayv1.Hello), stopped: make(chan error, 1)}
	if err := f.startListeners(ctx, w, free[0], free[1]); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	c, err := sim.NewClient(w.Cluster.AdminConfig())
	if err != nil {
		return nil, err
	}
	if f.fleet, err = sim.New(ctx, sim.Options{Client: c, Dir: memoryDir, PairingEndpoint: free[0], NodeEndpoint: free[1], SignLocally: true}); err != nil {
		return nil, err
	}
	if err := f.fleet.Ramp(ctx, 1, 1); err != nil {
		return nil, err
	}
	if f.session, err = f.awaitSession(ctx, false); err != nil {
		return nil, err
	}
	return f, f.dialPlainClient(ctx)
}

// trustRetryInterval is the time between two attempts to read the trust bundles.
const trustRetryInterval = 100 * time.Millisecond

func (f *stubGateway) startListeners(ctx context.Context, w *system, pairing, node string) error {
	trust := gateway.NewTrust(logr.Discard())
	var bundles corev1.ConfigMap
	key := types.NamespacedName{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.TrustConfigMap}
	// The controller has not published the bundles in the first seconds of a cluster.
	for err := w.client.Get(ctx, key, &bundles); err != nil; err = w.client.Get(ctx, key, &bundles) {
		if !apierrors.IsNotFound(err) {
			return err
		}
		if err := sleep(ctx, trustRetryInterval); err != nil {
			return err
		}
	}
	trust.Update(&bundles)
	counters, err := gateway.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		return err
	}
	server := gateway.New(gateway.Options{TLSDir: w.Gateways[0].TLSDir, PairingAddress: pairing, NodeAddress: node, TrustDomain: "mooring.local",
		Trust: trust, Limits: gateway.DefaultLimits(), Pairing: gatewayv1.UnimplementedPairingServiceServer{}, Node: f, Authorizer: allowAll{},
		Clock: clock.RealClock{}, Metrics: counters, Log: logr.Discard()})
	serving, stop := context.WithCancel(ctx)
	f.stop = stop
	go func() { f.stopped <- server.Start(serving) }()
	return nil
}

// allowAll authorizes each caller with a certificate.
type allowAll struct{}

// Authorize allows every caller.
func (allowAll) Authorize(context.Context, peer.Identity) error { return nil }

// Pinned counts each caller as the machine of its Node.
func (allowAll) Pinned(peer.Identity) bool { return true }

// RegisterNode grants nothing: for this measurement the agent runs every offer.
func (f *stubGateway) RegisterNode(context.Context, *gatewayv1.RegisterNodeRequest) (*gatewayv1.RegisterNodeResponse, error) {
	return &gatewayv1.RegisterNodeResponse{}, nil
}

// StreamNodeEvents sends the Welcome and leaves the stream to the measurement.
func (f *stubGateway) StreamNodeEvents(stream grpc.BidiStreamingServer[gatewayv1.StreamNodeEventsRequest, gatewayv1.StreamNodeEventsResponse]) error {
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
		f.streams <- stream
	case <-stream.Context().Done():
	}
	<-stream.Context().Done()
	return nil
}

func (f *stubGateway) awaitSession(ctx context.Context, raw bool) (nodeStream, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	select {
	case hello := <-f.hellos:
		if (hello.GetAgentVersion() == rawAgentVersion) != raw {
			return nil, fmt.Errorf("%q came first", hello.GetAgentVersion())
		}
		return <-f.streams, nil
	case err := <-f.stopped:
		f.stopped <- err
		return nil, fmt.Errorf("the listeners ended: %w", err)
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a session: %w", ctx.Err())
	}
}

// dialPlainClient connects the plain client, which answers every message at once.
func (f *stubGateway) dialPlainClient(ctx context.Context) error {
	var agent *sim.Agent
	if err := f.fleet.Issue(ctx, 1, func(a *sim.Agent) error { agent = a; return nil }); err != nil {
		return err
	}
	directory, err := store.Open(agent.Dir())
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
	if f.plain, err = (link.Dialer{}).Dial(ctx, f.fleet.NodeEndpoint, link.TLSConfig(bundle, &certificate, time.Now)); err != nil {
		return err
	}
	stream, err := gatewayv1.NewNodeServiceClient(f.plain.Conn).StreamNodeEvents(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	answered := make(chan struct{})
	f.plainClientDone = answered
	go func() {
		defer close(answered)
		runPlainClient(stream)
	}()
	f.raw, err = f.awaitSession(ctx, true)
	return err
}

// runPlainClient runs the plain client: it sends a Hello, then a result for every offer.
func runPlainClient(stream gatewayv1.NodeService_StreamNodeEventsClient) {
	hello := &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Hello{Hello: &gatewayv1.Hello{AgentVersion: rawAgentVersion}}}
	for err := stream.Send(hello); err == nil; {
		var message *gatewayv1.StreamNodeEventsResponse
		if message, err = stream.Recv(); err == nil && message.GetOffer() != nil {
			offer := message.GetOffer()
			err = stream.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: &gatewayv1.Result{
				Dispatch: offer.GetDispatch(), Outcome: gatewayv1.Result_OUTCOME_SUCCEEDED, Execution: gatewayv1.Result_EXECUTION_FINISHED, Output: offer.GetInput()}}})
		}
	}
}

func (f *stubGateway) close() error {
	var err error
	if f.plain != nil {
		err = f.plain.Close()
		if f.plainClientDone != nil {
			<-f.plainClientDone
		}
	}
	if f.fleet != nil {
		err = errors.Join(err, f.fleet.Close())
	}
	f.stop()
	return errors.Join(err, <-f.stopped)
}

func newOffer(uid string) *gatewayv1.StreamNodeEventsResponse {
	return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Offer{Offer: &gatewayv1.Offer{
		Dispatch: &gatewayv1.DispatchRef{Namespace: "hop", Name: uid, Uid: uid}, Capability: "echo", Input: []byte(`{"text":"hi"}`),
		Timeout: durationpb.New(time.Minute), Expires: timestamppb.New(time.Now().Add(time.Hour))}}}
}

func newSettled(ref *gatewayv1.DispatchRef) *gatewayv1.StreamNodeEventsResponse {
	return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Settled{Settled: &gatewayv1.Settled{Dispatch: ref}}}
}
