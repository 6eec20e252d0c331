package session_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/session"
	"github.com/mooring-dev/mooring/test/eventually"
)

// waitPastSessionStart waits until every new dispatch is certainly younger than the session of m.
func (m *machine) waitPastSessionStart(t *testing.T) {
	t.Helper()
	started := getLive(t, m.node).Status.SessionStartedTime
	if started == nil {
		t.Fatal("no session is recorded")
	}
	eventually.True(t, "3 s have passed", func() bool { return time.Now().After(started.Add(3 * time.Second)) })
}

func TestShortDispatchCostsExactlyTwoWrites(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	m.waitPastSessionStart(t)

	watcher, err := watchClient(t).Watch(t.Context(), &v1alpha1.CapabilityDispatchList{}, client.InNamespace(m.id.Namespace))
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	const rounds = 5
	before := r.api.writes.Load()
	for i := range rounds {
		d := m.createDispatch(t, nil)
		offer := a.nextOffer()
		if diff := cmp.Diff(string(d.UID), offer.GetDispatch().GetUid()); diff != "" {
			t.Fatalf("another dispatch was offered (-want +got):\n%s", diff)
		}
		a.accept(offer.GetDispatch())
		a.succeed(offer.GetDispatch(), fmt.Sprintf(`{"round":%d}`, i))
		a.nextSettled()
		got := getLive(t, d)
		if got.Status.Phase != v1alpha1.DispatchSucceeded || got.Status.Execution != v1alpha1.ExecutionFinished || got.Status.Output == nil {
			t.Fatalf("status is %+v, want it succeeded with its output", got.Status)
		}
		if got.Spec.Capability != "echo" || got.Spec.Input == nil {
			t.Fatalf("the write of the status changed the spec to %+v", got.Spec)
		}
	}
	if writes := r.api.writes.Load() - before; writes != rounds {
		t.Errorf("the gateway wrote %d times for %d dispatches, want one each", writes, rounds)
	}
	var seen []watch.EventType
	for range 2 * rounds {
		seen = append(seen, (<-watcher.ResultChan()).Type)
	}
	for i := 0; i < len(seen); i += 2 {
		if seen[i] != watch.Added || seen[i+1] != watch.Modified {
			t.Fatalf("the objects went through %v, want create and one update each", seen)
		}
	}
}

func TestDispatchedIsWrittenWhenTheResultTakesLong(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, func(o *session.Options) { o.DispatchedDelay = 50 * time.Millisecond })
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	m.waitPastSessionStart(t)
	d := m.createDispatch(t, nil)
	ref := a.nextOffer().GetDispatch()
	a.accept(ref)
	m.wantPhase(t, d, v1alpha1.DispatchDispatched)
	a.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_AwaitingLocalMediation{
		AwaitingLocalMediation: &gatewayv1.AwaitingLocalMediation{Dispatch: ref, AskedUser: "ada"}}})
	m.wantPhase(t, d, v1alpha1.DispatchAwaitingLocalMediation)
	a.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_MediationDecided{
		MediationDecided: &gatewayv1.MediationDecided{Dispatch: ref}}})
	m.wantPhase(t, d, v1alpha1.DispatchDispatched)
	a.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Progress{
		Progress: &gatewayv1.Progress{Dispatch: ref, Percent: 40, Message: "almost"}}})
	eventually.True(t, "progress is shown", func() bool { p := getLive(t, d).Status.Progress; return p != nil && p.Percent == 40 })
	a.succeed(ref, `1`)
	a.nextSettled()
	m.wantPhase(t, d, v1alpha1.DispatchSucceeded)
}

func (m *machine) wantPhase(t *testing.T, d *v1alpha1.CapabilityDispatch, want v1alpha1.DispatchPhase) {
	t.Helper()
	eventually.True(t, "the dispatch is "+string(want), func() bool { return getLive(t, d).Status.Phase == want }, &d.Status)
}

func TestBacklogIsClaimedBeforeItIsOffered(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	d := m.createDispatch(t, nil)
	a := m.connect(t, r)
	offer := a.nextOffer()
	got := getLive(t, d)
	if got.Status.Phase != v1alpha1.DispatchDispatched || got.Status.Execution != "" || got.Status.Gateway != r.name {
		t.Errorf("when its offer arrived the status was %+v, want it Dispatched by %s with execution unset", got.Status, r.name)
	}
	a.succeed(offer.GetDispatch(), `1`)
	a.nextSettled()
	m.wantPhase(t, d, v1alpha1.DispatchSucceeded)
}

func TestConflictIsDecidedAgain(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	m.waitPastSessionStart(t)
	d := m.createDispatch(t, nil)
	ref := a.nextOffer().GetDispatch()
	r.api.beforeNextWrite(func() {
		live := getLive(t, d.DeepCopy())
		live.Labels = map[string]string{"touched": "yes"}
		if err := shared.Client().Update(t.Context(), live); err != nil {
			t.Error(err)
		}
	})
	before := r.api.writes.Load()
	a.succeed(ref, `1`)
	a.nextSettled()
	got := getLive(t, d)
	if got.Status.Phase != v1alpha1.DispatchSucceeded || got.Labels["touched"] != "yes" {
		t.Errorf("labels %v, status %+v: want both changes kept", got.Labels, got.Status)
	}
	if writes := r.api.writes.Load() - before; writes != 2 {
		t.Errorf("the gateway wrote %d times, want one conflict and one success", writes)
	}
}

func TestResultThatMetATerminalPhaseCompletesTheRun(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, func(o *session.Options) { o.ReportGrace = 500 * time.Millisecond })
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	m.waitPastSessionStart(t)
	d := m.createDispatch(t, func(d *v1alpha1.CapabilityDispatch) { d.Spec.TimeoutSeconds = 1 })
	ref := a.nextOffer().GetDispatch()
	a.accept(ref)
	m.wantPhase(t, d, v1alpha1.DispatchTimedOut)
	if got := d.Status.Execution; got != v1alpha1.ExecutionUnknown {
		t.Errorf("execution is %q after an absent result, want Unknown", got)
	}
	if diff := cmp.Diff(ref.GetUid(), a.nextCancel().GetDispatch().GetUid()); diff != "" {
		t.Errorf("another dispatch was cancelled (-want +got):\n%s", diff)
	}
	a.succeed(ref, `"late"`)
	a.nextSettled()
	got := getLive(t, d)
	if got.Status.Phase != v1alpha1.DispatchTimedOut || got.Status.Execution != v1alpha1.ExecutionFinished || got.Status.Output == nil {
		t.Errorf("status is %+v, want TimedOut with execution Finished and the late output", got.Status)
	}
}

func TestWindowAndOrderOfOneNode(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", func(n *v1alpha1.Node) { n.Spec.MaxInFlight = 2 })
	a := m.connect(t, r)
	m.waitPastSessionStart(t)
	first, second := m.createDispatch(t, nil), m.createDispatch(t, nil)
	offered := map[string]bool{a.nextOffer().GetDispatch().GetUid(): true, a.nextOffer().GetDispatch().GetUid(): true}
	if !offered[string(first.UID)] || !offered[string(second.UID)] {
		t.Fatalf("offered %v, want the first two", offered)
	}
	third := m.createDispatch(t, nil)
	rejected := m.createDispatch(t, func(d *v1alpha1.CapabilityDispatch) { d.Spec.Capability = "unheard" })
	m.wantPhase(t, rejected, v1alpha1.DispatchRejected) // So the gateway has seen the third, which waits.
	a.RequireNoMessage()
	a.succeed(&gatewayv1.DispatchRef{Namespace: first.Namespace, Name: first.Name, Uid: string(first.UID)}, `1`)
	for range 2 { // The next offer does not wait for the write of the result.
		select {
		case message := <-a.Received:
			if offer := message.GetOffer(); offer != nil && offer.GetDispatch().GetUid() != string(third.UID) {
				t.Fatalf("offered %v, want the third", offer)
			}
		case <-time.After(waitTimeout):
			t.Fatal("the third dispatch was not offered")
		}
	}
}

func TestWhatIsNotOffered(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, func(o *session.Options) { o.MaxQueued = 2 })
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", func(n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeSuspended })
	a := m.connect(t, r)
	cases := map[string]struct {
		change func(*v1alpha1.CapabilityDispatch)
		phase  v1alpha1.DispatchPhase
		code   string
	}{
		"it expires while the Node is suspended": {func(d *v1alpha1.CapabilityDispatch) { d.Spec.ExpirySeconds = 1 }, v1alpha1.DispatchTimedOut, v1alpha1.ErrorExpired},
		"it is cancelled in the queue":           {func(d *v1alpha1.CapabilityDispatch) { d.Spec.Cancel = true }, v1alpha1.DispatchCancelled, v1alpha1.ErrorCancelled},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { m.wantRefused(t, c.change, c.phase, c.code) })
	}
	// The UID decides which of three dispatches created in one second is the last.
	waiting := []*v1alpha1.CapabilityDispatch{m.createDispatch(t, nil), m.createDispatch(t, nil), m.createDispatch(t, nil)}
	full := func(d *v1alpha1.CapabilityDispatch) bool {
		e := getLive(t, d).Status.Error
		return e != nil && e.Code == v1alpha1.ErrorQueueFull && d.Status.Execution == v1alpha1.ExecutionNotStarted
	}
	eventually.True(t, "a dispatch is refused because of the full queue", func() bool { return slices.ContainsFunc(waiting, full) })
	waiting = slices.DeleteFunc(waiting, full)
	a.RequireNoMessage()

	m.patchNode(t, func(n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeActive })
	if len(waiting) != 2 {
		t.Fatalf("%d dispatches wait, want 2", len(waiting))
	}
	for range waiting {
		a.nextOffer()
	}
	m.wantRefused(t, func(d *v1alpha1.CapabilityDispatch) { d.Spec.Capability = "unheard" }, v1alpha1.DispatchRejected, v1alpha1.ErrorUnknownCapability)
	m.wantRefused(t, func(d *v1alpha1.CapabilityDispatch) { d.Spec.Capability = "secret" }, v1alpha1.DispatchRejected, v1alpha1.ErrorNotGranted)
}

// wantRefused creates a dispatch and checks that it is settled as proven unstarted.
func (m *machine) wantRefused(t *testing.T, change func(*v1alpha1.CapabilityDispatch), phase v1alpha1.DispatchPhase, code string) {
	t.Helper()
	d := m.createDispatch(t, change)
	m.wantPhase(t, d, phase)
	if d.Status.Execution != v1alpha1.ExecutionNotStarted || d.Status.Error == nil || d.Status.Error.Code != code {
		t.Errorf("status is %+v, want NotStarted with error %s", d.Status, code)
	}
}

func (m *machine) patchNode(t *testing.T, change func(*v1alpha1.Node)) {
	t.Helper()
	node := getLive(t, m.node)
	patch := client.MergeFrom(node.DeepCopy())
	change(node)
	if err := shared.Client().Patch(t.Context(), node, patch); err != nil {
		t.Fatal(err)
	}
}

func TestCancelReachesTheMachine(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	d := m.createDispatch(t, nil)
	ref := a.nextOffer().GetDispatch()
	a.accept(ref)
	patch := client.MergeFrom(getLive(t, d).DeepCopy())
	d.Spec.Cancel = true
	if err := shared.Client().Patch(t.Context(), d, patch); err != nil {
		t.Fatal(err)
	}
	a.nextCancel()
	a.Report(&gatewayv1.Result{Dispatch: ref, Outcome: gatewayv1.Result_OUTCOME_CANCELLED, Execution: gatewayv1.Result_EXECUTION_FINISHED})
	a.nextSettled()
	m.wantPhase(t, d, v1alpha1.DispatchCancelled)
}

func TestResultsOfStrangersChangeNothing(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	namespace := shared.Namespace(t)
	good, bad := newPairedMachine(t, ca, namespace, "good", nil), newPairedMachine(t, ca, namespace, "bad", nil)
	d := good.createDispatch(t, nil)
	a := bad.connect(t, r)
	theirs := &gatewayv1.DispatchRef{Namespace: d.Namespace, Name: d.Name, Uid: string(d.UID)}
	missing := &gatewayv1.DispatchRef{Namespace: d.Namespace, Name: "no-such", Uid: string(d.UID)}
	odd := &gatewayv1.DispatchRef{Namespace: d.Namespace, Name: "../nodes/good", Uid: string(d.UID)}
	elsewhere := &gatewayv1.DispatchRef{Namespace: "kube-system", Name: d.Name, Uid: string(d.UID)}
	for _, ref := range []*gatewayv1.DispatchRef{theirs, missing, odd, elsewhere} {
		a.succeed(ref, `"forged"`)
		if got := a.nextSettled().GetDispatch().GetUid(); got != ref.GetUid() {
			t.Errorf("settled %s, want the same answer for every stranger", got)
		}
	}
	if got := getLive(t, d); got.Status.Phase != v1alpha1.DispatchQueued || got.Status.Output != nil {
		t.Errorf("a stranger changed the dispatch to %+v", got.Status)
	}
}

// No dispatch is offered, whether it needs a claim or is younger than the session.
func TestNothingIsOfferedWhilePoliciesAreUnproven(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	var shown cache.Cache
	r := startReplica(t, ca, func(o *session.Options) { shown = o.Cache })
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	r.gate.closed.Store(true)
	claimed := m.createDispatch(t, nil)
	m.waitPastSessionStart(t)
	d := m.createDispatch(t, nil)
	refused := m.startSession(t, r, m.nextHello())
	refused.wantEnd(codes.Unavailable)
	a.waitHandledEvent(shown, d.DeepCopy(), func() bool { return true })
	a.RequireNoMessage()
	r.gate.closed.Store(false)
	offered := map[string]bool{}
	for range 2 {
		offered[a.nextOffer().GetDispatch().GetUid()] = true
	}
	if !offered[string(claimed.UID)] || !offered[string(d.UID)] {
		t.Errorf("offered %v, want both", offered)
	}
}
