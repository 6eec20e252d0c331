package gateway_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
	spake "github.com/mooring-dev/mooring/internal/pairing"
)

// machineFrom returns a machine whose connections come from the given loopback address.
func (i *instance) machineFrom(t *testing.T, address string) *machine {
	t.Helper()
	endpoint, _ := i.Addresses()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	conn, err := grpc.NewClient("passthrough:///"+endpoint.String(),
		grpc.WithContextDialer(func(ctx context.Context, to string) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", to) }),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}))) //nolint:gosec // first contact
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &machine{t: t, key: identitytest.NewKey(t), client: gatewayv1.NewPairingServiceClient(conn), nodeName: "robot"}
}

func TestAFloodFromManyAddressesDoesNotShutOutTheInvited(t *testing.T) {
	const addresses, hellos = 40, 150
	g := newGateway(t, func(s *settings) { s.limits, s.pairing.BeginsPerSecond = gateway.DefaultLimits(), 5 })
	namespace := shared.Namespace(t)
	flood, stop := context.WithCancel(t.Context())
	defer stop()
	var flooders sync.WaitGroup
	defer flooders.Wait()
	var sent, refused atomic.Int64
	for n := range addresses {
		m := g.machineFrom(t, fmt.Sprintf("127.0.1.%d", n+1))
		flooders.Go(func() {
			for range hellos {
				if flood.Err() != nil {
					return
				}
				sent.Add(1)
				if _, err := m.startExchange(flood, spake.Code{LookupID: "ZZZZZZ", PIN: "000000"}); err != nil {
					refused.Add(1)
				}
			}
		})
	}
	soon.True(t, "the flood to hit the limits", func() bool { return refused.Load() > 100 })
	for range 3 {
		code := issueCode(t, namespace, time.Minute, v1alpha1.PairingCodeSpec{})
		// The gateway receives the record by its watch while the common share is used up.
		soon.True(t, "the invited machine to pair", func() bool {
			_, err := g.machine(t).pair(t.Context(), code.Code)
			return err == nil
		})
	}
	stop()
	flooders.Wait()
	t.Logf("%d hellos, %d refused", sent.Load(), refused.Load())
	var list v1alpha1.PairingRequestList
	if err := shared.Client().List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 3 {
		t.Errorf("%d requests, want the three of the invited", len(list.Items))
	}
}
