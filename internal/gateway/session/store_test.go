package session

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/dispatchtable"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

// store is a fake API server: one dispatch, one Node, at most one ServiceAccount, reviews. A test controls
// when the fake answers. The tests in test/integration/session use the real API server.
type store struct {
	client.Client
	dispatch *v1alpha1.CapabilityDispatch
	node     *v1alpha1.Node
	account  *corev1.ServiceAccount
	reviewed []authorizationv1.SubjectAccessReviewSpec
	allow    func(authorizationv1.SubjectAccessReviewSpec) bool
	// beforeWrite runs before each write of a status.
	beforeWrite func()
	writes      int
	// refusal is the error of each write of a status; nil if the write succeeds.
	refusal error
	// reviewError is the error of each review; nil if the review succeeds.
	reviewError error
	// readError is the error of each read; nil if the read succeeds.
	readError error
}

func (s *store) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if s.readError != nil {
		return s.readError
	}
	switch into := into.(type) {
	case *v1alpha1.CapabilityDispatch:
		s.dispatch.DeepCopyInto(into)
	case *v1alpha1.Node:
		s.node.DeepCopyInto(into)
	case *corev1.ServiceAccount:
		if s.account == nil {
			return apierrors.NewNotFound(corev1.Resource("serviceaccounts"), key.Name)
		}
		s.account.DeepCopyInto(into)
	default:
		return errors.ErrUnsupported
	}
	return nil
}

func (s *store) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	review, ok := object.(*authorizationv1.SubjectAccessReview)
	if !ok {
		return errors.ErrUnsupported
	}
	if s.reviewError != nil {
		return s.reviewError
	}
	s.reviewed = append(s.reviewed, review.Spec)
	review.Status.Allowed = s.allow != nil && s.allow(review.Spec)
	return nil
}

func (s *store) Status() client.SubResourceWriter { return statusWriter{store: s} }

type statusWriter struct {
	client.SubResourceWriter
	store *store
}

func (s statusWriter) Update(_ context.Context, object client.Object, _ ...client.SubResourceUpdateOption) error {
	if s.store.beforeWrite != nil {
		s.store.beforeWrite()
	}
	d, ok := object.(*v1alpha1.CapabilityDispatch)
	if !ok {
		return errors.ErrUnsupported
	}
	if s.store.refusal != nil {
		return s.store.refusal
	}
	s.store.writes++
	status := d.Status
	s.store.dispatch.DeepCopyInto(d) // only the status of the body is stored
	d.Status, d.ResourceVersion = status, strconv.Itoa(8+s.store.writes)
	s.store.dispatch = d.DeepCopy()
	return nil
}

// sent returns all messages for the machine.
func (s *session) sent() []*gatewayv1.StreamNodeEventsResponse {
	return s.outbox.(*recordingOutbox).messages
}

// recordingOutbox keeps the messages for the machine.
type recordingOutbox struct {
	messages []*gatewayv1.StreamNodeEventsResponse
}

func (o *recordingOutbox) Push(m *gatewayv1.StreamNodeEventsResponse) error {
	o.messages = append(o.messages, m)
	return nil
}

// settledSent reports whether the machine was sent a Settled.
func (s *session) settledSent() bool {
	return slices.ContainsFunc(s.sent(), func(m *gatewayv1.StreamNodeEventsResponse) bool { return m.GetSettled() != nil })
}

type openGate struct{ err error }

func (g *openGate) Check() error { return g.err }

// newStoreSession returns a session with a store. Its work runs only when the test calls runPending.
func newStoreSession(c *clocktesting.FakeClock) (*session, *store, *openGate) {
	at, gate := &store{}, &openGate{}
	service := New(Options{Clock: c, Time: apiTime{c}, Log: logr.Discard(), Gateway: "gw", Client: at, Reader: at, Gate: gate})
	service.setSynced()
	service.lease.object, service.lease.renewed = &testLease, c.Now()
	s := service.newSession(peer.Identity{ID: identity.ID{Namespace: pcKey.Namespace, Node: pcKey.Name}}, silentConn{})
	s.outbox = &recordingOutbox{}
	s.running = maxWorkers
	s.node = &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: pcKey.Namespace, Name: pcKey.Name, UID: "node", ResourceVersion: "1"},
		Spec:   v1alpha1.NodeSpec{PublicKeySHA256: "pin", CapabilityPolicy: v1alpha1.CapabilityPolicy{Allow: []string{"echo"}}},
		Status: v1alpha1.NodeStatus{SessionID: s.id, SessionStartedTime: &metav1.Time{Time: c.Now().Add(-time.Minute)}}}
	s.caller.PublicKeySHA256 = "pin"
	s.facts.Declared = []v1alpha1.NodeCapability{{Name: "echo", Available: true}}
	s.table = s.newTable()
	s.table.ClaimUntil(*s.node.Status.SessionStartedTime)
	s.lastMessageAt, s.maxAgeAt = c.Now(), c.Now().Add(time.Hour*1000)
	at.node = s.node.DeepCopy()
	return s, at, gate
}

// runPending runs the jobs that wait for a worker, and the jobs that these start.
func (s *session) runPending(ctx context.Context) {
	for len(s.pending) > 0 {
		job := s.pending[0]
		s.pending = s.pending[1:]
		job(ctx)(ctx)
	}
}

// addWaiting adds a stored dispatch that waits for its offer.
func (s *session) addWaiting(ctx context.Context, at *store, d *v1alpha1.CapabilityDispatch) {
	at.dispatch = d.DeepCopy()
	s.table.Load(s.snapshot(ctx), []*v1alpha1.CapabilityDispatch{d}, nil)
}

// addAccepted adds a stored dispatch that the machine accepted in an earlier session.
func (s *session) addAccepted(ctx context.Context, at *store, d *v1alpha1.CapabilityDispatch) {
	at.dispatch = d.DeepCopy()
	s.table.Load(s.snapshot(ctx), []*v1alpha1.CapabilityDispatch{d}, journalWith(d))
}

// journalWith returns a journal that holds d as accepted.
func journalWith(d *v1alpha1.CapabilityDispatch) map[types.UID]*gatewayv1.UnsettledDispatch {
	return map[types.UID]*gatewayv1.UnsettledDispatch{d.UID: {Dispatch: dispatchtable.RefOf(d), State: gatewayv1.UnsettledDispatch_STATE_ACCEPTED}}
}

// offersSent returns the number of sent offers.
func (s *session) offersSent() (n int) {
	for _, m := range s.sent() {
		if m.GetOffer() != nil {
			n++
		}
	}
	return n
}

// isStopped reports whether the session was stopped.
func (s *session) isStopped() bool {
	select {
	case <-s.stopped:
		return true
	default:
		return false
	}
}

// succeededResult returns the result of a run that the machine reports.
func succeededResult(d *v1alpha1.CapabilityDispatch) *gatewayv1.StreamNodeEventsRequest {
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: &gatewayv1.Result{
		Dispatch: dispatchtable.RefOf(d), Outcome: gatewayv1.Result_OUTCOME_SUCCEEDED, Execution: gatewayv1.Result_EXECUTION_FINISHED, Output: []byte(`1`)}}}
}

// A newer session may have replaced this one and offered the dispatch. Then this session cannot
// prove that the dispatch never started.
func TestOnlyTheRecordedSessionSaysThatADispatchNeverStarted(t *testing.T) {
	for name, id := range map[string]string{"recorded": "", "replaced": "newer"} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s, at, _ := newStoreSession(c)
			d := newDispatch(s, c, v1alpha1.DispatchQueued)
			d.Spec.Cancel = true
			at.dispatch = d.DeepCopy()
			if id != "" {
				at.node.Status.SessionID, at.node.ResourceVersion = id, "2"
			}
			s.applyEvents(t.Context(), informerEvents{dispatches: map[types.UID]*v1alpha1.CapabilityDispatch{d.UID: d}})
			s.runPending(t.Context())
			if stored := at.writes == 1 && at.dispatch.Status.Execution == v1alpha1.ExecutionNotStarted; stored != (id == "") {
				t.Errorf("%d writes, status %+v", at.writes, at.dispatch.Status)
			}
			if s.isStopped() != (id != "") {
				t.Errorf("the session ends: %t, although its Node was read", s.isStopped())
			}
		})
	}
}

func TestAJournalThatHoldsADispatchClaimsIt(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	for name, journaled := range map[string]bool{"journaled": true, "not journaled": false} {
		t.Run(name, func(t *testing.T) {
			s, at, _ := newStoreSession(c)
			d := newDispatch(s, c, v1alpha1.DispatchQueued)
			at.dispatch = d.DeepCopy()
			journal := map[types.UID]*gatewayv1.UnsettledDispatch{}
			if journaled {
				journal[d.UID] = &gatewayv1.UnsettledDispatch{Dispatch: dispatchtable.RefOf(d), State: gatewayv1.UnsettledDispatch_STATE_RUNNING}
			}
			if err := s.reconcileAll(t.Context(), s.node, []v1alpha1.CapabilityDispatch{*d}, journal, false); err != nil {
				t.Fatal(err)
			}
			if s.offer(t.Context()); s.offersSent() == 0 != journaled || !s.table.Has(d.UID) {
				t.Errorf("%d offers of a dispatch that the machine has: %t", s.offersSent(), journaled)
			}
			if claimed := at.dispatch.Status.Phase == v1alpha1.DispatchDispatched; claimed != journaled {
				t.Errorf("phase %s, want it claimed: %t", at.dispatch.Status.Phase, journaled)
			}
		})
	}
}

func TestAJournalThatForgotAnAcceptanceIsFound(t *testing.T) {
	accepted := v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{UID: "a"}, Status: dispatch.MarkAccepted(
		v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchQueued}, "gw", noon.Time)}
	claimed := v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{UID: "a"}, Status: v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchDispatched}}
	knows := map[types.UID]*gatewayv1.UnsettledDispatch{"a": {}}
	for name, tt := range map[string]struct {
		d       v1alpha1.CapabilityDispatch
		heard   map[types.UID]bool
		journal map[types.UID]*gatewayv1.UnsettledDispatch
		want    bool
	}{
		"accepted and known":           {accepted, nil, knows, false},
		"accepted and unknown":         {accepted, nil, nil, true},
		"claimed alone":                {claimed, nil, nil, false},
		"heard accepted, not recorded": {claimed, map[types.UID]bool{"a": true}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &session{previouslyAccepted: tt.heard}
			if got := s.journalLostAcceptance([]v1alpha1.CapabilityDispatch{tt.d}, tt.journal); got != tt.want {
				t.Errorf("forgot() = %t, want %t", got, tt.want)
			}
		})
	}
}

// Each row is a precondition of an offer. Without it the dispatch waits in the queue.
func TestNothingIsOfferedWithout(t *testing.T) {
	for name, tt := range map[string]struct {
		lose  func(*session, *openGate, *clocktesting.FakeClock)
		offer bool
	}{
		"nothing missing":         {func(*session, *openGate, *clocktesting.FakeClock) {}, true},
		"a proof of the policies": {func(_ *session, g *openGate, _ *clocktesting.FakeClock) { g.err = errors.New("disproved") }, false},
		"a Lease":                 {func(s *session, _ *openGate, _ *clocktesting.FakeClock) { s.service.lease.object = nil }, false},
		"a Lease that was renewed": {func(s *session, _ *openGate, c *clocktesting.FakeClock) {
			s.service.lease.renewed = c.Now().Add(-time.Minute)
		}, false},
		"a Node that is active": {func(s *session, _ *openGate, _ *clocktesting.FakeClock) {
			s.node.Spec.DesiredState = v1alpha1.NodeSuspended
		}, false},
		"a proven spec": {func(s *session, _ *openGate, _ *clocktesting.FakeClock) {
			s.node.Status.ProvenSpec = &v1alpha1.ProvenSpec{}
		}, false},
		"a certificate that lasts":                {func(s *session, _ *openGate, c *clocktesting.FakeClock) { setCertificateExpiry(s, c.Now()) }, false},
		"a session that goes on":                  {func(s *session, _ *openGate, _ *clocktesting.FakeClock) { s.draining = true }, false},
		"a window with room":                      {fillWindow, false},
		"a watch that has shown the latest words": {makeWatchStale, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s, at, gate := newStoreSession(c)
			s.node.Spec.MaxInFlight = 1
			d := newDispatch(s, c, v1alpha1.DispatchQueued)
			d.Spec.ExpirySeconds = 3600
			at.allow = func(authorizationv1.SubjectAccessReviewSpec) bool { return true }
			at.dispatch = d.DeepCopy()
			tt.lose(s, gate, c)
			s.do(t.Context(), s.table.Upsert(s.snapshot(t.Context()), d))
			s.offer(t.Context())
			s.runPending(t.Context())
			if offered := len(s.sent()) == 1 && s.sent()[0].GetOffer() != nil; offered != tt.offer {
				t.Errorf("sent %v, want an offer: %t", s.sent(), tt.offer)
			}
		})
	}
}

var testLease = coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: LeaseName("gw")}}

// setCertificateExpiry replaces the certificate of a session without dispatches.
func setCertificateExpiry(s *session, end time.Time) {
	s.caller.Certificate = &x509.Certificate{NotAfter: end}
	s.table = s.newTable()
}

// fillWindow makes the machine hold another dispatch.
func fillWindow(s *session, _ *openGate, c *clocktesting.FakeClock) {
	another := newDispatch(s, c, v1alpha1.DispatchDispatched)
	s.table.Load(s.snapshot(context.Background()), []*v1alpha1.CapabilityDispatch{another}, journalWith(another))
}

// makeWatchStale makes the Node watch lag by more than StaleAfter.
func makeWatchStale(s *session, _ *openGate, c *clocktesting.FakeClock) {
	s.service.registry.sessions = 1
	c.Step(s.service.StaleAfter + time.Second)
	s.service.lease.renewed = c.Now()
}

func TestTheRequesterIsReviewedWithAllThatAdmissionKnew(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s, at, _ := newStoreSession(c)
	d := newDispatch(s, c, v1alpha1.DispatchQueued)
	d.Spec.RequestedBy, d.Spec.RequestedByGroups, d.Spec.RequestedByUID = "rita", []string{"crew"}, "7"
	at.allow = func(r authorizationv1.SubjectAccessReviewSpec) bool {
		a := r.ResourceAttributes
		return r.User == "rita" && r.UID == "7" && slices.Equal(r.Groups, []string{"crew"}) &&
			a.Namespace == d.Namespace && a.Verb == "invoke" && a.Group == "mooring.dev" && a.Resource == "capabilities" && a.Name == "echo"
	}
	s.recheck(t.Context(), &dispatchtable.Recheck{Dispatch: d})
	if len(at.reviewed) != 0 {
		t.Errorf("a young dispatch: %d reviews", len(at.reviewed))
	}
	c.Step(s.service.ReviewAfter)
	if got, err := s.service.review(t.Context(), d); got != dispatch.ReviewPassed || err != nil {
		t.Errorf("%v, %v for %+v", got, err, at.reviewed)
	}
	c.Step(dispatchtable.ReviewTTL + time.Second)
	at.allow = nil
	if got, err := s.service.review(t.Context(), d); got != dispatch.ReviewRefused || err != nil {
		t.Errorf("after the right was lost: %v, %v", got, err)
	}
}

func TestAServiceAccountOfTheSameNameIsAnother(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	for name, tt := range map[string]struct {
		stamped types.UID
		account corev1.ServiceAccount
		want    bool
	}{
		"the one that asked":    {"a", corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{UID: "a"}}, true},
		"made again":            {"a", corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{UID: "b"}}, false},
		"leaving":               {"a", corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{UID: "a", DeletionTimestamp: &noon}}, false},
		"no UID, older":         {"", corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{UID: "a", CreationTimestamp: noon}}, true},
		"no UID, made after it": {"", corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{UID: "a", CreationTimestamp: metav1.NewTime(noon.Add(time.Hour))}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, at, _ := newStoreSession(c)
			d := newDispatch(s, c, v1alpha1.DispatchQueued)
			d.Spec.RequestedBy, d.Spec.RequestedByUID = serviceAccountPrefix+"fleet:robot", string(tt.stamped)
			at.account = &tt.account
			if got, err := s.service.serviceAccountExists(t.Context(), &d.Spec, d); got != tt.want || err != nil {
				t.Errorf("it exists: %t, %v, want %t", got, err, tt.want)
			}
		})
	}
}

func TestANodeAdmitsItsOwnMachineWhileItIsNeitherRevokedNorLeaving(t *testing.T) {
	id := peer.Identity{PublicKeySHA256: "pin"}
	for name, tt := range map[string]struct {
		change func(*v1alpha1.Node)
		reason string // of the denial; empty for a machine that is authorized
	}{
		"as it is":      {func(*v1alpha1.Node) {}, ""},
		"its next key":  {func(n *v1alpha1.Node) { n.Spec.PublicKeySHA256, n.Spec.NextPublicKeySHA256 = "old", "pin" }, ""},
		"another key":   {func(n *v1alpha1.Node) { n.Spec.PublicKeySHA256 = "other" }, gatewayv1.ReasonKeyNotPinned},
		"revoked":       {func(n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeRevoked }, gatewayv1.ReasonNodeRevoked},
		"being deleted": {func(n *v1alpha1.Node) { n.DeletionTimestamp = &noon }, gatewayv1.ReasonNodeDeleted},
	} {
		t.Run(name, func(t *testing.T) {
			node := &v1alpha1.Node{Spec: v1alpha1.NodeSpec{PublicKeySHA256: "pin"}}
			tt.change(node)
			if err := authorize(node, id); (err == nil) != (tt.reason == "") || denialReason(err) != tt.reason {
				t.Errorf("authorize() = %v with the reason %q, want %q", err, denialReason(err), tt.reason)
			}
		})
	}
}

// denialReason returns the reason of a denial.
func denialReason(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// An event of the Node ends a session that is not recorded or not authorized any more.
func TestASessionEndsWithItsNode(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.Node){
		"a namesake":      func(n *v1alpha1.Node) { n.UID = "namesake" },
		"a newer session": func(n *v1alpha1.Node) { n.Status.SessionID = "newer" },
		"taken for lost":  func(n *v1alpha1.Node) { n.Status.SessionEndedTime = &metav1.Time{Time: noon.Time} },
		"revoked":         func(n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeRevoked },
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := newStoreSession(clocktesting.NewFakeClock(noon.Time))
			s.blockPublisher()
			node := s.node.DeepCopy()
			node.ResourceVersion = "2"
			change(node)
			s.applyNode(t.Context(), node, false)
			select {
			case <-s.stopped:
			default:
				t.Error("the session does not end")
			}
		})
	}
}

// The leader considers a dispatch created after the recorded end as proven unstarted.
func TestTheRecordedEndIsLaterThanEveryOffer(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s, _, _ := newStoreSession(c)
	s.facts.Started = metav1.NewTime(c.Now().Add(-time.Minute))
	s.ending = ending{reason: v1alpha1.ReasonSessionLost}
	s.node.Status.SessionID = "newer" // then recordEnd writes nothing
	s.recordEnd(t.Context(), make(chan struct{}))
	if s.facts.Ended == nil || !s.facts.Ended.After(c.Now()) {
		t.Errorf("at %v the end is recorded as %v", c.Now(), s.facts.Ended)
	}
}
