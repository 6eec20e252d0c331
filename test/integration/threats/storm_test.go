package threats_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/pairing"
)

// ciSized returns ci, the count for continuous integration, or full when the tests run in full size.
func ciSized(ci, full int) int {
	if os.Getenv("MOORING_TEST_SIZE") == "full" {
		return full
	}
	return ci
}

// Ten thousand hellos from 200 addresses (fewer in continuous integration) create no objects.
// Meanwhile a machine with a code pairs.
func TestAFloodOfHellosFrom200AddressesMakesNoObjects(t *testing.T) {
	f := newFleet(t)
	const addresses = 200
	each := ciSized(10, 50)
	records := f.count(&corev1.SecretList{}, client.InNamespace(v1alpha1.PairingNamespace))
	requests := f.count(&v1alpha1.PairingRequestList{})
	flood, stop := context.WithCancel(t.Context())
	var flooders sync.WaitGroup
	defer flooders.Wait()
	defer stop()
	var sent, refused atomic.Int64
	for n := range addresses {
		attacker := gatewayv1.NewPairingServiceClient(f.dialFrom(fmt.Sprintf("127.0.2.%d", n+1), system.PairingEndpoint))
		flooders.Go(func() {
			for range each {
				sent.Add(1)
				if err := sendHello(flood, attacker); err != nil {
					refused.Add(1)
				}
			}
		})
	}
	f.Eventually("the flood to be on", func() bool { return sent.Load() > addresses })
	f.Pair("invited")
	flooders.Wait()
	t.Logf("%d hellos, %d of them refused", sent.Load(), refused.Load())
	if n := f.count(&corev1.SecretList{}, client.InNamespace(v1alpha1.PairingNamespace)); n > records+1 {
		t.Errorf("%d records in %s, want at most that of the invited beside the %d before", n, v1alpha1.PairingNamespace, records)
	}
	if n := f.count(&v1alpha1.PairingRequestList{}); n > requests+1 {
		t.Errorf("%d requests, want at most that of the invited beside the %d before", n, requests)
	}
	f.CheckEcho("invited")
}

func sendHello(ctx context.Context, attacker gatewayv1.PairingServiceClient) error {
	share, err := pairing.RandomShare(rand.Reader)
	if err != nil {
		return err
	}
	_, err = attacker.BeginPairingSession(ctx, &gatewayv1.BeginPairingSessionRequest{LookupId: "ZZZZZZ", Share: share, NodeName: "flood"})
	return err
}

// dialFrom connects from an address of loopback.
func (f *fleet) dialFrom(address, to string) *grpc.ClientConn {
	f.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	connection, err := grpc.NewClient("passthrough:///"+to,
		grpc.WithContextDialer(func(ctx context.Context, to string) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", to) }),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}))) //nolint:gosec // an attacker does not mind
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { connection.Close() })
	return connection
}

func (f *fleet) count(list client.ObjectList, options ...client.ListOption) int {
	f.Helper()
	if err := system.Client.List(f.Context(), list, options...); err != nil {
		f.Fatal(err)
	}
	return meta.LenList(list)
}

// One machine sends a thousand updates a second (for 30 s in full size). The writes about it stay
// within its budget, and its neighbour is served meanwhile.
func TestAStormOfUpdatesStaysWithinTheBudgetOfItsMachine(t *testing.T) {
	f := newFleet(t)
	f.Pair("neighbour")
	s := f.connect(f.stealIdentity("hostile")).openSession()
	d := f.CreateDispatch("hostile", "echo", map[string]any{})
	ref := s.awaitOffer()
	writes := func() float64 {
		return f.metricSum("mooring_gateway_dispatch_writes_total") + f.metricSum("mooring_gateway_node_writes_total")
	}
	before, served := writes(), 0
	began := time.Now()
	end := began.Add(time.Duration(ciSized(3, 30)) * time.Second)
	storm := make(chan int)
	go func() { storm <- s.storm(ref, end) }()
	for time.Now().Before(end) {
		f.CheckEcho("neighbour")
		served++
	}
	sent := <-storm
	wrote, lasted := writes()-before, time.Since(began)
	t.Logf("%d updates in %s: %.0f writes of the gateway, %d of them for the neighbour", sent, lasted.Round(time.Millisecond), wrote, served)
	if sent < 500 {
		t.Errorf("only %d updates were sent, too few for a storm", sent)
	}
	// The budget is a progress every two seconds, the Node's status when it changes, and the
	// neighbour's own writes.
	if most := float64(served) + lasted.Seconds() + 10; wrote > most {
		t.Errorf("%d updates made %.0f writes, want at most %.0f", sent, wrote, most)
	}
	s.Report(succeededResult(ref, []byte(`1`)))
	if end := f.AwaitEnded(d).Status; end.Phase != v1alpha1.DispatchSucceeded {
		t.Errorf("the dispatch of the loud machine ended %+v", end)
	}
}

// storm sends a thousand updates a second until end, and returns how many it sent.
func (s *session) storm(ref *gatewayv1.DispatchRef, end time.Time) (sent int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ; time.Now().Before(end); sent++ {
		<-tick.C
		update := &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Progress{
			Progress: &gatewayv1.Progress{Dispatch: ref, Percent: uint32(sent % 101), Message: fmt.Sprint(sent)}}}
		if sent%2 == 0 { // and its capabilities change all the time
			update = &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_CapabilitiesChanged{
				CapabilitiesChanged: &gatewayv1.CapabilitiesChanged{Capabilities: []*gatewayv1.Capability{{Name: "echo", Available: sent%4 == 0}}}}}
		}
		if s.Send(update) != nil {
			return sent
		}
	}
	return sent
}
