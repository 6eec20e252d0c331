package session_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/session"
	"github.com/mooring-dev/mooring/test/eventually"
)

func TestSessionIsRecordedAndItsEndToo(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	node := getLive(t, m.node)
	s := node.Status
	if s.Presence != v1alpha1.PresenceOnline || s.SessionID != a.welcome.GetSessionId() || s.Gateway != r.name || s.DialCounter != 1 ||
		s.CapabilitySummary != "2/2" || s.System == nil || s.Certificate == nil || s.Certificate.PublicKeySHA256 != node.Spec.PublicKeySHA256 {
		t.Errorf("the recorded session is %+v", s)
	}
	if !meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionConnected) || !dispatch.SessionOf(node).Live() {
		t.Errorf("conditions %v: want the Node connected", s.Conditions)
	}
	a.stop()
	eventually.True(t, "the end is recorded", func() bool { return !dispatch.SessionOf(getLive(t, m.node)).Live() })
	if s := m.node.Status; s.Presence != v1alpha1.PresenceStale || !meta.IsStatusConditionFalse(s.Conditions, v1alpha1.ConditionConnected) {
		t.Errorf("presence %s, conditions %v after the end", s.Presence, s.Conditions)
	}
	m.connect(t, r)
	if node := getLive(t, m.node); !dispatch.SessionOf(node).Live() || node.Status.Presence != v1alpha1.PresenceOnline {
		t.Errorf("status is %+v after the machine came back", node.Status)
	}
}

func TestNewestSessionWins(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	one, two := startReplica(t, ca, nil), startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	stale := m.nextHello()
	previous := m.connect(t, one)
	for _, r := range []*replica{two, two, one} { // another replica, the same replica, the first replica
		fresh := m.connect(t, r)
		previous.wantEnd(codes.Aborted)
		m.startSession(t, one, stale).wantEnd(codes.Aborted)
		m.startSession(t, two, stale).wantEnd(codes.Aborted)
		previous = fresh
	}
	d := m.createDispatch(t, nil)
	ref := previous.nextOffer().GetDispatch()
	if diff := cmp.Diff(string(d.UID), ref.GetUid()); diff != "" {
		t.Errorf("another dispatch was offered (-want +got):\n%s", diff)
	}
	if node := getLive(t, m.node); node.Status.SessionID != previous.welcome.GetSessionId() || !dispatch.SessionOf(node).Live() {
		t.Errorf("session %s is recorded, want the newest, live", node.Status.SessionID)
	}
}

func TestMachineThatLosesItsNodeIsCut(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	namespace := shared.Namespace(t)
	cases := map[string]func(t *testing.T, m *machine){
		"revoked": func(t *testing.T, m *machine) {
			m.patchNode(t, func(n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeRevoked })
		},
		"deleted": func(t *testing.T, m *machine) {
			if err := shared.Client().Delete(t.Context(), m.node); err != nil {
				t.Fatal(err)
			}
		},
		"pinned": func(t *testing.T, m *machine) {
			m.patchNode(t, func(n *v1alpha1.Node) { n.Spec.PublicKeySHA256 = otherFingerprint(n.Spec.PublicKeySHA256) })
		},
	}
	for name, lose := range cases {
		t.Run(name, func(t *testing.T) {
			m := newPairedMachine(t, ca, namespace, name, nil)
			a := m.connect(t, r)
			began := time.Now()
			lose(t, m)
			a.wantEnd(codes.PermissionDenied)
			t.Logf("cut after %s", time.Since(began))
			_, err := m.dial(t, r).RegisterNode(t.Context(), m.description())
			if status.Code(err) != codes.PermissionDenied {
				t.Errorf("the next call ended with %v, want PermissionDenied", err)
			}
		})
	}
}

// otherFingerprint returns a different fingerprint.
func otherFingerprint(fingerprint string) string {
	if fingerprint[0] == '0' {
		return "1" + fingerprint[1:]
	}
	return "0" + fingerprint[1:]
}

func TestUnsettledDispatchesAreReconciledBeforeTheSessionCounts(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	m.waitPastSessionStart(t)
	kept, lost := m.createDispatch(t, nil), m.createDispatch(t, nil)
	a.nextOffer()
	a.nextOffer()
	a.cancel()
	eventually.True(t, "the end is recorded", func() bool { return !dispatch.SessionOf(getLive(t, m.node)).Live() })

	// One offer was journaled, the other never arrived.
	ref := &gatewayv1.DispatchRef{Namespace: kept.Namespace, Name: kept.Name, Uid: string(kept.UID)}
	a = m.startSession(t, r, m.nextHello(&gatewayv1.UnsettledDispatch{Dispatch: ref, State: gatewayv1.UnsettledDispatch_STATE_RUNNING}))
	expect(a, "Welcome", (*gatewayv1.StreamNodeEventsResponse).GetWelcome)
	if got := getLive(t, kept).Status.Phase; got != v1alpha1.DispatchDispatched {
		t.Errorf("the journaled dispatch is %s when the session is recorded, want Dispatched", got)
	}
	expect(a, "TrustBundle", (*gatewayv1.StreamNodeEventsResponse).GetTrustBundle)
	if got := a.nextOffer().GetDispatch().GetUid(); got != string(lost.UID) {
		t.Errorf("offered %s, want only the dispatch that is not journaled", got)
	}
	a.succeed(ref, `1`)
	a.nextSettled()
	m.wantPhase(t, kept, v1alpha1.DispatchSucceeded)
}

func TestForeignJournalEndsWhatMayHaveRun(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", func(n *v1alpha1.Node) { n.Spec.MaxInFlight = 1 })
	a := m.connect(t, r)
	m.waitPastSessionStart(t)
	offered := m.createDispatch(t, nil)
	a.nextOffer()
	a.cancel()
	eventually.True(t, "the end is recorded", func() bool { return !dispatch.SessionOf(getLive(t, m.node)).Live() })
	m.journalID, m.dialCounter = uuid.NewString(), 0
	a = m.connect(t, r)
	got := getLive(t, offered)
	if got.Status.Phase != v1alpha1.DispatchFailed || got.Status.Execution != v1alpha1.ExecutionUnknown ||
		got.Status.Error == nil || got.Status.Error.Code != v1alpha1.ErrorJournalReset {
		t.Errorf("status is %+v, want Failed, JournalReset, Unknown", got.Status)
	}
	m.waitPastSessionStart(t)
	fresh := m.createDispatch(t, nil)
	if got := a.nextOffer().GetDispatch().GetUid(); got != string(fresh.UID) {
		t.Errorf("offered %s, want only the new dispatch", got)
	}
}

func TestSilentMachineIsLost(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, func(o *session.Options) { o.HeartbeatInterval = 300 * time.Millisecond })
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	a.wantEnd(codes.DeadlineExceeded)
	eventually.True(t, "the Node is Stale", func() bool { return getLive(t, m.node).Status.Presence == v1alpha1.PresenceStale })
	if e := m.node.Status.LastEvent; e == nil || e.Name != v1alpha1.ReasonSessionLost {
		t.Errorf("last event is %+v, want SessionLost", e)
	}
}

func TestDrainEndsSessionsAndTheLeaseAndLeavesNothingBehind(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	lease := &coordinationv1.Lease{}
	key := types.NamespacedName{Namespace: v1alpha1.SystemNamespace, Name: session.LeaseName(r.name)}
	if err := shared.Client().Get(t.Context(), key, lease); err != nil || lease.Labels[v1alpha1.LabelComponent] != v1alpha1.LabelComponentGateway {
		t.Fatalf("the Lease of the gateway is %+v, %v", lease, err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.stop()
	}()
	expect(a, "Drain", (*gatewayv1.StreamNodeEventsResponse).GetDrain)
	a.wantEnd(codes.Unavailable)
	<-stopped
	if dispatch.SessionOf(getLive(t, m.node)).Live() {
		t.Error("the session is still recorded as live")
	}
	if err := shared.Client().Get(t.Context(), key, lease); !apierrors.IsNotFound(err) {
		t.Errorf("the Lease is still there: %v", err)
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	// client-go keeps the connections of its cached transports open.
	goleak.VerifyNone(t, ignore, goleak.IgnoreAnyFunction("golang.org/x/net/http2.(*clientConnReadLoop).run"))
}

func TestMachineGivesUpItsIdentity(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	request := &gatewayv1.RevokeDevicePairingRequest{Reason: "uninstalled\x00"}
	if _, err := a.client.RevokeDevicePairing(t.Context(), request); status.Code(err) != codes.Unauthenticated {
		t.Fatalf("without a proof: got %v, want Unauthenticated", err)
	}
	request.Proof = m.revocationProof(t, a.Exporter())
	if _, err := a.client.RevokeDevicePairing(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	a.wantEnd(codes.PermissionDenied)
	eventually.True(t, "the end is recorded", func() bool { return !dispatch.SessionOf(getLive(t, m.node)).Live() })
	if revocation := m.node.Status.RevocationRequest; revocation == nil || revocation.Reason != "uninstalled\uFFFD" || !bytes.Equal(revocation.Signature, request.Proof) {
		t.Errorf("revocation request is %+v, want the signed request of the machine to outlive its session", revocation)
	}
	c := meta.FindStatusCondition(m.node.Status.Conditions, v1alpha1.ConditionRevocationRequested)
	if c == nil || c.Status != metav1.ConditionTrue || c.Message != "uninstalled\uFFFD" {
		t.Errorf("condition is %+v, want the request of the machine to outlive its session", c)
	}
}

func TestCapabilitiesFollowMachineAndPolicy(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	a.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_CapabilitiesChanged{
		CapabilitiesChanged: &gatewayv1.CapabilitiesChanged{Capabilities: []*gatewayv1.Capability{{Name: "echo", Available: true}, {Name: "sleep", Reason: "broken"}}}}})
	eventually.True(t, "the Node is Degraded", func() bool {
		s := getLive(t, m.node).Status
		return s.Presence == v1alpha1.PresenceDegraded && s.CapabilitySummary == "1/2"
	}, &m.node.Status)
	m.patchNode(t, func(n *v1alpha1.Node) { n.Spec.CapabilityPolicy.Deny = []string{"sleep"} })
	eventually.True(t, "the denied capability does not count", func() bool {
		s := getLive(t, m.node).Status
		return s.Presence == v1alpha1.PresenceOnline && s.CapabilitySummary == "1/1"
	}, &m.node.Status)
}

func TestPolledSessionCarriesTheSame(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	c := m.dial(t, r)
	if _, err := c.PollDispatch(t.Context(), &gatewayv1.PollDispatchRequest{SessionId: "unheard"}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a poll of an unknown session ended with %v, want FailedPrecondition", err)
	}
	if _, err := c.RegisterNode(t.Context(), m.description()); err != nil {
		t.Fatal(err)
	}
	first, err := c.PollDispatch(t.Context(), &gatewayv1.PollDispatchRequest{Hello: m.nextHello()})
	if err != nil || first.GetSessionId() == "" {
		t.Fatalf("the first poll answered %v, %v", first, err)
	}
	d := m.createDispatch(t, nil)
	var ref *gatewayv1.DispatchRef
	for offered := false; ref == nil; {
		// Every answer except the first and the last is lost with its connection.
		c = m.dial(t, r)
		answer, err := c.PollDispatch(t.Context(), &gatewayv1.PollDispatchRequest{SessionId: first.GetSessionId(), Acknowledged: first.GetSequence()})
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range answer.GetMessages() {
			if offer := message.GetOffer(); offer != nil && offered {
				ref = offer.GetDispatch()
			} else if offer != nil {
				offered = true
			}
		}
	}
	_, err = c.ReportResult(t.Context(), &gatewayv1.ReportResultRequest{SessionId: first.GetSessionId(), Messages: []*gatewayv1.StreamNodeEventsRequest{
		{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: &gatewayv1.Result{Dispatch: ref, Outcome: gatewayv1.Result_OUTCOME_SUCCEEDED,
			Execution: gatewayv1.Result_EXECUTION_FINISHED, Output: []byte(`1`)}}}}})
	if err != nil {
		t.Fatal(err)
	}
	m.wantPhase(t, d, v1alpha1.DispatchSucceeded)
	answer, err := c.PollDispatch(t.Context(), &gatewayv1.PollDispatchRequest{SessionId: first.GetSessionId()})
	if err != nil || len(answer.GetMessages()) != 1 || answer.GetMessages()[0].GetSettled() == nil {
		t.Errorf("the last poll answered %v, %v, want Settled", answer, err)
	}
	stranger := newPairedMachine(t, ca, m.id.Namespace, "other", nil)
	if _, err := stranger.dial(t, r).PollDispatch(t.Context(), &gatewayv1.PollDispatchRequest{SessionId: first.GetSessionId()}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a stranger's poll ended with %v, want FailedPrecondition", err)
	}
}

func TestSessionNeedsRegisterNodeAndAGoodHello(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	stream, err := m.dial(t, r).StreamNodeEvents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Hello{Hello: m.nextHello()}}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a Hello without RegisterNode ended with %v, want FailedPrecondition", err)
	}
	cases := map[string]func(*gatewayv1.Hello){
		"no journal id":     func(h *gatewayv1.Hello) { h.JournalId = "" },
		"strange journal":   func(h *gatewayv1.Hello) { h.JournalId = "a\nb" },
		"no dial counter":   func(h *gatewayv1.Hello) { h.DialCounter = 0 },
		"a protocol of old": func(h *gatewayv1.Hello) { h.ProtocolVersion = 0 },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			hello := m.nextHello()
			change(hello)
			m.startSession(t, r, hello).wantEnd(codes.InvalidArgument)
		})
	}
	if dispatch.SessionOf(getLive(t, m.node)).Started != nil {
		t.Error("a session was recorded")
	}
}
