package session

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

// fuzzTime is an API server's time that is known exactly.
type fuzzTime struct{ *clocktesting.FakePassiveClock }

func (t fuzzTime) Latest() time.Time { return t.Now() }

// deafConn drops all messages that it is sent.
type deafConn struct{}

func (deafConn) Send(*gatewayv1.StreamNodeEventsResponse) error    { return nil }
func (deafConn) Recv() (*gatewayv1.StreamNodeEventsRequest, error) { return nil, context.Canceled }

var fuzzCaller = peer.Identity{ID: identity.ID{TrustDomain: "mooring.test", Namespace: "fleet", Node: "pc"}, PublicKeySHA256: "key", Certificate: &x509.Certificate{}}

// fuzzSession returns a session with one offered dispatch. Its workers are always busy, so the
// writes that a message causes stay in pending and can be counted.
func fuzzSession() *session {
	s := New(Options{
		Bundle: func() identity.Bundle { return identity.Bundle{} }, Gateway: "gateway",
		Time: fuzzTime{clocktesting.NewFakePassiveClock(noon.Time)}, Log: logr.Discard(),
	})
	sess := s.newSession(fuzzCaller, deafConn{})
	sess.running = maxWorkers
	sess.node = nodeAllowing("echo")
	sess.facts = nodestatus.Facts{Description: nodestatus.Description{System: &v1alpha1.SystemInfo{}}}
	d := &v1alpha1.CapabilityDispatch{Spec: v1alpha1.CapabilityDispatchSpec{NodeName: "pc", Capability: "echo", TimeoutSeconds: 30, ExpirySeconds: 60}}
	d.Namespace, d.Name, d.UID, d.CreationTimestamp = "fleet", "one", "uid", noon
	sess.table = sess.newTable()
	sess.loadTable(context.Background(), []*v1alpha1.CapabilityDispatch{d}, map[types.UID]*gatewayv1.UnsettledDispatch{"uid": {}})
	return sess
}

func seed(f *testing.F, messages ...proto.Message) {
	f.Helper()
	for _, m := range messages {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xff})
}

// FuzzSessionMessage sends messages of a hostile machine to a session. A message causes at most a
// few queued writes, and the resulting facts can be stored.
func FuzzSessionMessage(f *testing.F) {
	ref := &gatewayv1.DispatchRef{Namespace: "fleet", Name: "one", Uid: "uid"}
	foreign := &gatewayv1.DispatchRef{Namespace: "other", Name: "two", Uid: "u2"}
	outOfRange := &timestamppb.Timestamp{Seconds: 1 << 62, Nanos: -1}
	of := func(m *gatewayv1.StreamNodeEventsRequest) proto.Message { return m }
	seed(f,
		of(&gatewayv1.StreamNodeEventsRequest{}),
		of(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Hello{Hello: &gatewayv1.Hello{Unsettled: []*gatewayv1.UnsettledDispatch{{Dispatch: ref}, {}}}}}),
		of(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Heartbeat{Heartbeat: &gatewayv1.Heartbeat{AgentTime: outOfRange}}}),
		of(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_TrustBundleStored{TrustBundleStored: &gatewayv1.TrustBundleStored{Sha256: make([]byte, 32)}}}),
		of(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Accepted{Accepted: &gatewayv1.Accepted{Dispatch: ref}}}),
		of(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_AwaitingLocalMediation{AwaitingLocalMediation: &gatewayv1.AwaitingLocalMediation{Dispatch: ref, AskedUser: "a\x1b[2J", Since: outOfRange}}}),
		of(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_MediationDecided{MediationDecided: &gatewayv1.MediationDecided{Dispatch: ref}}}),
		of(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Progress{Progress: &gatewayv1.Progress{Dispatch: ref, Percent: 1 << 31, Message: "\x00"}}}),
		of(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: &gatewayv1.Result{Dispatch: ref, Outcome: 1, Execution: 3, Output: []byte(`{"a":1e999}`), StartedTime: outOfRange}}}),
		of(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: &gatewayv1.Result{Dispatch: foreign, Outcome: 99}}}),
		of(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: &gatewayv1.Result{}}}),
		of(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_CapabilitiesChanged{CapabilitiesChanged: &gatewayv1.CapabilitiesChanged{Capabilities: []*gatewayv1.Capability{{Name: "echo", InputSchema: []byte("{")}, {}}}}}),
		of(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Stopping{Stopping: &gatewayv1.Stopping{Reason: "\x1b"}}}),
	)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m gatewayv1.StreamNodeEventsRequest
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		s := fuzzSession()
		if hello := m.GetHello(); hello != nil {
			s.applyHello(hello, nodestatus.Description{System: &v1alpha1.SystemInfo{}})
			journalOf(hello)
		}
		s.handleMessage(t.Context(), &m)
		s.handleMessage(t.Context(), &m) // an agent repeats a message after a lost answer
		if uid := types.UID(m.GetResult().GetDispatch().GetUid()); len(s.pending) > 4 || uid != "uid" && s.table.Has(uid) {
			t.Errorf("one message causes %d writes, and the dispatch %q is known: %t", len(s.pending), uid, s.table.Has(uid))
		}
		requireStorable(t, s.facts)
	})
}

// FuzzRegisterNode checks that every accepted description can be stored.
func FuzzRegisterNode(f *testing.F) {
	seed(f,
		&gatewayv1.RegisterNodeRequest{BootId: "boot", System: &gatewayv1.SystemInfo{Hostname: "\x00\u202e"}, Capabilities: []*gatewayv1.Capability{
			{Name: "echo", Description: "x", Available: true, InputSchema: []byte(`{"type":"object"}`)}, {Name: "Bad Name"}}},
		&gatewayv1.RegisterNodeRequest{Capabilities: make([]*gatewayv1.Capability, 0)},
		&gatewayv1.RegisterNodeRequest{Capabilities: []*gatewayv1.Capability{{Name: "a"}, {Name: "a"}, {}}},
	)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m gatewayv1.RegisterNodeRequest
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		if d, err := nodestatus.NewDescription(&m, nodestatus.NewSchemaVerdicts(), unlimited); err == nil {
			requireStorable(t, nodestatus.Facts{Description: d})
		}
	})
}

// requireStorable fails the test if the status that f produces cannot be written as JSON and read back.
func requireStorable(t *testing.T, f nodestatus.Facts) {
	t.Helper()
	next := f.Compose(nodeAllowing("echo"), noon)
	text, err := json.Marshal(next)
	if err != nil {
		t.Fatalf("the status cannot be written: %v", err)
	}
	var again nodestatus.Fields
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatalf("the status cannot be read: %v", err)
	}
}

// FuzzPolledAndRevoked sends the other requests of NodeService that reach this package. Without a
// session or a signature they are refused.
func FuzzPolledAndRevoked(f *testing.F) {
	seed(f,
		&gatewayv1.PollDispatchRequest{SessionId: "s"},
		&gatewayv1.ReportResultRequest{SessionId: "s", Messages: []*gatewayv1.StreamNodeEventsRequest{{}}},
		&gatewayv1.RevokeDevicePairingRequest{Reason: "\x00", Proof: []byte{0x30, 0x06}},
	)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ctx := fuzzSession().service, peer.NewContext(t.Context(), fuzzCaller)
		var poll gatewayv1.PollDispatchRequest
		if proto.Unmarshal(b, &poll) == nil && (poll.GetSessionId() != "" || poll.GetHello() == nil) {
			if _, err := s.PollDispatch(ctx, &poll); status.Code(err) != codes.FailedPrecondition && status.Code(err) != codes.InvalidArgument {
				t.Errorf("a poll is answered %v", err)
			}
		}
		var report gatewayv1.ReportResultRequest
		if proto.Unmarshal(b, &report) == nil {
			if _, err := s.ReportResult(ctx, &report); status.Code(err) != codes.FailedPrecondition {
				t.Errorf("a report is answered %v", err)
			}
		}
		var revoke gatewayv1.RevokeDevicePairingRequest
		if proto.Unmarshal(b, &revoke) == nil {
			if _, err := s.RevokeDevicePairing(ctx, &revoke); status.Code(err) != codes.Unauthenticated {
				t.Errorf("a revocation is answered %v", err)
			}
		}
	})
}
