package session_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/session"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
	"github.com/mooring-dev/mooring/test/eventually"
)

// The limits from docs/reference/limits.md that these tests check.
const (
	registerBurst, registerEvery = 30, 2 * time.Second
	readBurst, readEvery         = 10, 2 * time.Second
	writeBurst, writeEvery       = 20, 5 * time.Second
	mostConnections              = 4
	schemaBurst, schemaPerSecond = 128 << 10, 8 << 10
	// storedSchemas bounds the total size of the schemas of one description. Schemas beyond it are
	// not parsed.
	storedSchemas = 32 << 10
	heavySchema   = 4000
)

// maxUses returns the number of uses that a budget allows in the time lasted, plus 1 for rounding.
func maxUses(burst int, every, lasted time.Duration) int64 {
	return int64(burst) + int64(lasted/every) + 1
}

// largestDescription returns a description with the maximum number of schemas, each of almost the maximum
// size. The schemas of two seeds differ.
func largestDescription(seed int) *gatewayv1.RegisterNodeRequest {
	request := &gatewayv1.RegisterNodeRequest{}
	for c := range 64 {
		var schema bytes.Buffer
		fmt.Fprintf(&schema, `{"title":"%d of %d","properties":{"p":{}`, c, seed)
		for i := 0; schema.Len() < heavySchema; i++ {
			fmt.Fprintf(&schema, `,"p%d":{"type":"string"}`, i)
		}
		schema.WriteString(`}}`)
		request.Capabilities = append(request.Capabilities, &gatewayv1.Capability{Name: fmt.Sprintf("heavy.c%d", c), Available: true, InputSchema: schema.Bytes()})
	}
	return request
}

// flood calls from several connections at once for the duration lasts. It uses each connection for
// 10 calls.
func (m *machine) flood(t *testing.T, r *replica, lasts time.Duration, call func(context.Context, gatewayv1.NodeServiceClient) error) (calls, served int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	var callCount, answered atomic.Int64
	var floods sync.WaitGroup
	for range 4 {
		floods.Go(func() {
			for ctx.Err() == nil {
				connection := m.connection(t, r)
				client := gatewayv1.NewNodeServiceClient(connection)
				for range 10 {
					callCount.Add(1)
					if call(ctx, client) == nil {
						answered.Add(1)
					}
				}
				connection.Close()
			}
		})
	}
	floods.Wait()
	return callCount.Load(), answered.Load()
}

func TestHeavyRegistrationsOfAMachineAreBounded(t *testing.T) {
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	m.connect(t, r) // From now on the machine is in the cache of the gateway.
	request, began := largestDescription(0), time.Now()
	calls, served := m.flood(t, r, 3*time.Second, func(ctx context.Context, c gatewayv1.NodeServiceClient) error {
		_, err := c.RegisterNode(ctx, request)
		return err
	})
	t.Logf("%d calls, %d served", calls, served)
	if limit := maxUses(registerBurst, registerEvery, time.Since(began)); served > limit || served == 0 {
		t.Errorf("%d of %d calls were served, want 1 to %d", served, calls, limit)
	}
	neighbour := newPairedMachine(t, ca, m.id.Namespace, "neighbour", nil)
	neighbour.connect(t, r)
}

// A machine registers with new schemas all the time.
func TestNewSchemasOfAMachineAreBounded(t *testing.T) {
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	began, c, calls, served := time.Now(), m.dial(t, r), 20, 0
	for seed := range calls {
		_, err := c.RegisterNode(t.Context(), largestDescription(seed))
		switch status.Code(err) {
		case codes.OK:
			served++
		case codes.ResourceExhausted:
		default:
			t.Fatal(err)
		}
	}
	each := storedSchemas / (heavySchema + 100) * heavySchema
	if limit := (schemaBurst+schemaPerSecond*int(time.Since(began).Seconds()))/each + 1; served > limit || served == 0 {
		t.Errorf("%d of %d descriptions with new schemas were accepted, want 1 to %d", served, calls, limit)
	}
	if _, err := c.RegisterNode(t.Context(), largestDescription(0)); err != nil {
		t.Errorf("known schemas: %v", err)
	}
	neighbour := newPairedMachine(t, ca, m.id.Namespace, "neighbour", nil)
	if _, err := neighbour.dial(t, r).RegisterNode(t.Context(), largestDescription(calls)); err != nil {
		t.Errorf("new schemas of another machine: %v", err)
	}
}

// A machine whose Node is deleted calls as often as it can.
func TestLiveReadsForAMachineWithoutANodeAreBounded(t *testing.T) {
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	m.connect(t, r)
	if err := shared.Client().Delete(t.Context(), m.node); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the machine is refused", func() bool {
		_, err := m.dial(t, r).RegisterNode(t.Context(), m.description())
		return status.Code(err) == codes.PermissionDenied
	})
	before, began := r.api.nodeReads.Load(), time.Now()
	calls, served := m.flood(t, r, 3*time.Second, func(ctx context.Context, c gatewayv1.NodeServiceClient) error {
		_, err := c.RegisterNode(ctx, m.description())
		return err
	})
	reads := r.api.nodeReads.Load() - before
	t.Logf("%d calls, %d live reads", calls, reads)
	if limit := maxUses(readBurst, readEvery, time.Since(began)); reads > limit || served != 0 {
		t.Errorf("%d calls made %d live reads, want at most %d; %d were served", calls, reads, limit, served)
	}
}

// A machine opens one session after the other and changes its capabilities all the time.
func TestStatusWritesOfANodeAreBoundedOverItsSessions(t *testing.T) {
	ca := newAuthorities(t)
	r := startReplica(t, ca, func(o *session.Options) { o.NodeWritesPerSecond = 1000 })
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	before, began, sessions := r.api.nodeWrites.Load(), time.Now(), 0
	for time.Since(began) < 5*time.Second {
		a, err := m.tryOpen(t, r)
		if err != nil {
			continue
		}
		sessions++
		for i := range 10 {
			a.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_CapabilitiesChanged{
				CapabilitiesChanged: &gatewayv1.CapabilitiesChanged{Capabilities: []*gatewayv1.Capability{{Name: "echo", Available: i%2 == 0}}}}})
		}
		a.waitHandled()
		a.stop()
	}
	writes := r.api.nodeWrites.Load() - before
	t.Logf("%d sessions, %d writes in %s", sessions, writes, time.Since(began))
	if limit := maxUses(writeBurst, writeEvery, time.Since(began)); writes > limit || sessions < 4 {
		t.Errorf("%d sessions made %d writes, want at most %d", sessions, writes, limit)
	}
}

// tryOpen opens a session, or returns the error with which the gateway refuses it.
func (m *machine) tryOpen(t *testing.T, r *replica) (*agent, error) {
	t.Helper()
	connection := m.connection(t, r)
	client := gatewayv1.NewNodeServiceClient(connection)
	if _, err := client.RegisterNode(t.Context(), m.description()); err != nil {
		connection.Close()
		return nil, err
	}
	a := m.openStream(t, connection, m.nextHello())
	select {
	case <-a.Received:
		expect(a, "TrustBundle", (*gatewayv1.StreamNodeEventsResponse).GetTrustBundle)
		return a, nil
	case err := <-a.Ended:
		connection.Close()
		return nil, err
	case <-time.After(waitTimeout):
		t.Fatal("no answer to Hello")
		return nil, nil
	}
}

// An honest machine loses its session a dozen times at once and connects again.
func TestAMachineThatLosesItsSessionsIsNotRefused(t *testing.T) {
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	for i := range 12 {
		a, err := m.tryOpen(t, r)
		if err != nil {
			t.Fatalf("session %d: %v", i+1, err)
		}
		a.cancel() // simulates a lost connection
	}
}

// A Node with two pinned keys, as in a rotation, has the same limit of connections as other Nodes.
func TestConnectionsOfANodeAreBoundedOverItsKeys(t *testing.T) {
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	key := identitytest.NewKey(t)
	next, err := identity.FingerprintSPKI(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", func(n *v1alpha1.Node) { n.Spec.NextPublicKeySHA256 = next })
	rotated := *m
	leaf := ca.device.IssueDevice(t, m.id, &key.PublicKey)
	rotated.tls = tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	var open []*grpc.ClientConn
	for i := range 22 {
		from := m
		if i%2 == 1 {
			from = &rotated
		}
		connection := from.connection(t, r)
		connection.Connect()
		for state := connection.GetState(); state != connectivity.Ready; state = connection.GetState() {
			if !connection.WaitForStateChange(t.Context(), state) {
				t.Fatal("the test ended before a connection was ready")
			}
		}
		open = append(open, connection)
	}
	ready := func() (n int) {
		for _, connection := range open {
			if connection.GetState() == connectivity.Ready {
				n++
			}
		}
		return n
	}
	eventually.True(t, fmt.Sprintf("%d connections of one Node remain", mostConnections), func() bool { return ready() == mostConnections })
	if _, err := gatewayv1.NewNodeServiceClient(open[len(open)-1]).RegisterNode(t.Context(), rotated.description()); err != nil {
		t.Errorf("a call on the newest connection: %v", err)
	}
}
