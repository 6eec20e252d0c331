package session_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/session"
	"github.com/mooring-dev/mooring/test/eventually"
)

// blockNextWrite blocks the next write of the gateway to a dispatch until release is called.
func (r *replica) blockNextWrite(t *testing.T) (blocked <-chan struct{}, release func()) {
	t.Helper()
	entered, released := make(chan struct{}), make(chan struct{})
	r.api.beforeNextWrite(func() {
		close(entered)
		<-released
	})
	release = func() {
		select {
		case <-released:
		default:
			close(released)
		}
	}
	t.Cleanup(release)
	return entered, release
}

func waitFor(t *testing.T, event string, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(waitTimeout):
		t.Fatalf("did not happen in time: %s", event)
	}
}

// waitHandledEvent returns once the session of the gateway has handled object in a state for which
// matches returns true. It calls waitHandled often, because the session handles events and messages
// in any order.
func (a *agent) waitHandledEvent(nodeCache cache.Cache, object client.Object, matches func() bool) {
	a.t.Helper()
	eventually.True(a.t, "the cache of the gateway shows "+object.GetName(), func() bool {
		return nodeCache.Get(a.t.Context(), client.ObjectKeyFromObject(object), object) == nil && matches()
	})
	for range 20 {
		a.waitHandled()
	}
}

func TestAResultIsSettledAfterItsStatusIsStored(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	m.waitPastSessionStart(t)
	d := m.createDispatch(t, nil)
	ref := a.nextOffer().GetDispatch()
	blocked, release := r.blockNextWrite(t)
	a.succeed(ref, `1`)
	waitFor(t, "the gateway writes the result", blocked)
	other := &gatewayv1.DispatchRef{Namespace: "kube-system", Name: "x", Uid: uuid.NewString()}
	a.succeed(other, `1`)
	if got := a.nextSettled().GetDispatch().GetUid(); got != other.GetUid() {
		t.Fatalf("%s was settled before its status was stored", got)
	}
	release()
	if got := a.nextSettled().GetDispatch().GetUid(); got != string(d.UID) {
		t.Errorf("settled %s, want the dispatch", got)
	}
	if phase := getLive(t, d).Status.Phase; phase != v1alpha1.DispatchSucceeded {
		t.Errorf("settled as %s", phase)
	}
}

// fixedTime is a clock with a fixed time.
type fixedTime struct{ time.Time }

func (f fixedTime) Now() time.Time                  { return f.Time }
func (f fixedTime) Since(t time.Time) time.Duration { return f.Sub(t) }
func (f fixedTime) Latest() time.Time               { return f.Time }

func TestADispatchOfTheSecondOfTheRecordIsClaimed(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	d := m.createDispatch(t, nil)
	r := startReplica(t, ca, func(o *session.Options) { o.Time = fixedTime{d.CreationTimestamp.Time} })
	a := m.connect(t, r)
	a.nextOffer()
	if started := getLive(t, m.node).Status.SessionStartedTime; !started.Equal(&d.CreationTimestamp) {
		t.Fatalf("the session was recorded at %v, the dispatch created at %v: the times must be equal for this test", started, d.CreationTimestamp)
	}
	if phase := getLive(t, d).Status.Phase; phase != v1alpha1.DispatchDispatched {
		t.Errorf("the dispatch was %s when its offer arrived", phase)
	}
}

func TestWhatIsClaimedIsNotOfferedToANodeThatWasSuspendedMeanwhile(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	var shown cache.Cache
	r := startReplica(t, ca, func(o *session.Options) { shown = o.Cache })
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	d := m.createDispatch(t, nil)
	blocked, release := r.blockNextWrite(t)
	a := m.connect(t, r)
	waitFor(t, "the gateway claims the dispatch", blocked)
	m.patchNode(t, func(n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeSuspended })
	node := m.node.DeepCopy()
	a.waitHandledEvent(shown, node, func() bool { return node.Spec.DesiredState == v1alpha1.NodeSuspended })
	release()
	m.wantPhase(t, d, v1alpha1.DispatchDispatched)
	claimed := d.DeepCopy()
	a.waitHandledEvent(shown, claimed, func() bool { return claimed.Status.Phase == v1alpha1.DispatchDispatched })
	a.RequireNoMessage()
	m.patchNode(t, func(n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeActive })
	if got := a.nextOffer().GetDispatch().GetUid(); got != string(d.UID) {
		t.Errorf("offered %s", got)
	}
}

func TestNothingIsOfferedToANodeWhoseSpecIsNotTheProvenOne(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	var shown cache.Cache
	r := startReplica(t, ca, func(o *session.Options) { shown = o.Cache })
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	config, err := shared.ServiceAccountConfig(t.Context(), v1alpha1.SystemNamespace, v1alpha1.ControllerServiceAccount)
	if err != nil {
		t.Fatal(err)
	}
	controller := shared.ClientFor(t, config)
	prove := func(keys, policy string) {
		node := getLive(t, m.node)
		before := client.MergeFrom(node.DeepCopy())
		node.Status.ProvenSpec = &v1alpha1.ProvenSpec{Epoch: "e", KeysSHA256: keys, CapabilityPolicySHA256: policy}
		if err := controller.Status().Patch(t.Context(), node, before); err != nil {
			t.Fatal(err)
		}
	}
	keys, policy := dispatch.KeysSHA256(m.node.Spec), dispatch.CapabilityPolicySHA256(m.node.Spec.CapabilityPolicy)
	prove(keys, otherFingerprint(policy))
	a := m.connect(t, r)
	m.waitPastSessionStart(t)
	d := m.createDispatch(t, nil)
	queued := d.DeepCopy()
	a.waitHandledEvent(shown, queued, func() bool { return true })
	a.RequireNoMessage()
	prove(keys, policy)
	if got := a.nextOffer().GetDispatch().GetUid(); got != string(d.UID) {
		t.Errorf("offered %s", got)
	}
}

// A report of a machine about a run counts only if it does not contradict its earlier reports.
func TestAMachineThatContradictsItselfProvesNothing(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	namespace := shared.Namespace(t)
	cancelled := func(ref *gatewayv1.DispatchRef, execution gatewayv1.Result_Execution) *gatewayv1.Result {
		return &gatewayv1.Result{Dispatch: ref, Outcome: gatewayv1.Result_OUTCOME_CANCELLED, Execution: execution, ErrorCode: "Cancelled"}
	}
	t.Run("it ran, it never started", func(t *testing.T) {
		m := newPairedMachine(t, ca, namespace, "started", nil)
		a := m.connect(t, r)
		d := m.createDispatch(t, nil)
		ref := a.nextOffer().GetDispatch()
		a.accept(ref)
		a.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Progress{
			Progress: &gatewayv1.Progress{Dispatch: ref, Percent: 40}}})
		eventually.True(t, "progress is shown", func() bool { return getLive(t, d).Status.Execution == v1alpha1.ExecutionStarted })
		a.Report(cancelled(ref, gatewayv1.Result_EXECUTION_NOT_STARTED))
		m.wantEnded(t, d, v1alpha1.DispatchCancelled, v1alpha1.ExecutionUnknown, v1alpha1.ErrorCancelled)
	})
	t.Run("it is withdrawn, it ran", func(t *testing.T) {
		m := newPairedMachine(t, ca, namespace, "withdrawn", nil)
		a := m.connectWithClearance(t, r)
		d, ref := m.createMediated(t, a)
		m.patchNode(t, func(n *v1alpha1.Node) { n.Spec.CapabilityPolicy.Allow = []string{"sleep"} })
		a.nextCancel()
		a.Report(cancelled(ref, gatewayv1.Result_EXECUTION_FINISHED))
		m.wantEnded(t, d, v1alpha1.DispatchFailed, v1alpha1.ExecutionFinished, v1alpha1.ErrorNotGranted)
	})
}

// A machine whose journal was restored may run a dispatch again and report another result.
func TestAFinalResultStandsInALaterSession(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	// The gateway ignores results of dispatches that ended in the second of the Node's creation.
	m.waitPastSessionStart(t)
	d := m.createDispatch(t, nil)
	ref := a.nextOffer().GetDispatch()
	a.Report(&gatewayv1.Result{Dispatch: ref, Outcome: gatewayv1.Result_OUTCOME_FAILED, Execution: gatewayv1.Result_EXECUTION_FINISHED, ErrorCode: "Broken"})
	a.nextSettled()
	m.wantEnded(t, d, v1alpha1.DispatchFailed, v1alpha1.ExecutionFinished, "Broken")
	first := d.Status.DeepCopy()
	a.stop()
	a = m.connect(t, r)
	a.succeed(ref, `2`)
	a.nextSettled()
	if diff := cmp.Diff(first, &getLive(t, d).Status); diff != "" {
		t.Errorf("the second result changed the status (-first +second):\n%s", diff)
	}
}

// One part of the gateway fails. Without it the gateway cannot know that the machine is still its
// own and allowed. This test is not parallel: its gateways have short times.
func TestAGatewayThatIsNotReadyOffersNothing(t *testing.T) {
	ca := newAuthorities(t)
	for name, c := range map[string]struct {
		change     func(*session.Options)
		hold, heal func(*apiSpy)
		why        string
	}{
		"its Lease runs out": {func(o *session.Options) { o.LeaseDuration = 2 * time.Second },
			func(s *apiSpy) { s.failLeases.Store(true) }, func(s *apiSpy) { s.failLeases.Store(false) }, "could not be renewed"},
		"its watch of Nodes stands still": {func(o *session.Options) { o.StaleAfter, o.RefreshesPerSecond = 3*time.Second, 5 },
			func(s *apiSpy) { s.watch.Lock() }, func(s *apiSpy) { s.watch.Unlock() }, "has shown nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			var shown cache.Cache
			r := startReplica(t, ca, func(o *session.Options) {
				c.change(o)
				shown = o.Cache
			})
			m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
			a := m.connect(t, r)
			heal := sync.OnceFunc(func() { c.heal(r.api) })
			t.Cleanup(heal)
			c.hold(r.api)
			eventually.True(t, "the gateway is not ready", func() bool {
				err := r.service.Check()
				return err != nil && strings.Contains(err.Error(), c.why)
			})
			d := m.createDispatch(t, nil)
			a.waitHandledEvent(shown, d.DeepCopy(), func() bool { return true })
			a.RequireNoMessage()
			heal()
			if got := a.nextOffer().GetDispatch().GetUid(); got != string(d.UID) {
				t.Errorf("offered %s", got)
			}
		})
	}
}

// A gateway decides that a queue is full. Before it stores the decision, another gateway opens a
// newer session of the machine and offers the dispatch.
func TestAGatewayThatLostItsMachineRefusesNothing(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	one, two := startReplica(t, ca, func(o *session.Options) { o.MaxQueued = 1 }), startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", func(n *v1alpha1.Node) { n.Spec.MaxInFlight = 1 })
	a := m.connect(t, one)
	m.waitPastSessionStart(t)
	m.createDispatch(t, nil)
	a.nextOffer()
	blocked, release := one.blockNextWrite(t)
	m.createDispatch(t, nil)
	m.createDispatch(t, nil)
	waitFor(t, "the queue is full", blocked)
	m.patchNode(t, func(n *v1alpha1.Node) { n.Spec.MaxInFlight = 8 })
	a = m.connect(t, two)
	for range 3 {
		a.nextOffer()
	}
	release()
	one.stop() // returns when all its sessions have finished
	list := &v1alpha1.CapabilityDispatchList{}
	if err := shared.Client().List(t.Context(), list, client.InNamespace(m.id.Namespace)); err != nil {
		t.Fatal(err)
	}
	for _, d := range list.Items {
		if d.Status.Phase != v1alpha1.DispatchDispatched {
			t.Errorf("an offered dispatch is %s: %+v", d.Status.Phase, d.Status.Error)
		}
	}
}

// The leader considers a dispatch created after the recorded end as proven unstarted.
func TestTheEndOfASessionIsLaterThanItsLastOffer(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	m.waitPastSessionStart(t)
	d := m.createDispatch(t, nil)
	a.nextOffer()
	a.cancel()
	eventually.True(t, "the end is recorded", func() bool { return !dispatch.SessionOf(getLive(t, m.node)).Live() })
	if ended := m.node.Status.SessionEndedTime; !ended.After(d.CreationTimestamp.Time) {
		t.Errorf("the session ended at %v, but offered a dispatch that was created at %v", ended, d.CreationTimestamp)
	}
}

func TestWorkOfANodeThatIsBeingDeletedIsCancelledFirst(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", func(n *v1alpha1.Node) { n.Finalizers = []string{"test.mooring.dev/hold"} })
	t.Cleanup(func() {
		node := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: m.node.Namespace, Name: m.node.Name}}
		_ = shared.Client().Patch(context.WithoutCancel(t.Context()), node, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`)))
	})
	a := m.connectWithClearance(t, r)
	d, ref := m.createMediated(t, a)
	if err := shared.Client().Delete(t.Context(), m.node); err != nil {
		t.Fatal(err)
	}
	a.nextCancel()
	a.confirmNotStarted(ref)
	m.wantEnded(t, d, v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorNodeDeleted)
}
