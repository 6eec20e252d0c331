package session_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/eventually"
)

// refuseStatuses forbids the statuses of dispatches in a namespace for which the expression is
// false, until the test ends or the returned function is called.
func refuseStatuses(t *testing.T, namespace, expression string, reason metav1.StatusReason, example *v1alpha1.CapabilityDispatch) (allow func()) {
	t.Helper()
	name := strings.ToLower(string(reason)) + "." + namespace
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	policy.Spec.MatchConstraints = &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
		RuleWithOperations: admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{"mooring.dev"}, APIVersions: []string{"*"}, Resources: []string{"capabilitydispatches/status"}}}}}}
	policy.Spec.MatchConditions = []admissionregistrationv1.MatchCondition{{Name: "here", Expression: "request.namespace == '" + namespace + "'"}}
	policy.Spec.Validations = []admissionregistrationv1.Validation{{Expression: expression, Message: "refused by the test", Reason: &reason}}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}}
	binding.Spec.PolicyName, binding.Spec.ValidationActions = name, []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}
	allow = func() {
		_ = shared.Client().Delete(t.Context(), binding)
		_ = shared.Client().Delete(t.Context(), policy)
	}
	for _, o := range []client.Object{policy, binding} {
		if err := shared.Client().Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = shared.Client().Delete(context.WithoutCancel(t.Context()), o) })
	}
	eventually.True(t, "the policy is in force", func() bool {
		live := getLive(t, example.DeepCopy())
		live.Status.Gateway, live.Status.Output = "test", &v1alpha1.JSON{Raw: []byte(`{"poison":1}`)}
		err := shared.Client().Status().Update(t.Context(), live, client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "refused by the test")
	})
	return allow
}

// nextOfferAndSettled waits for an Offer and a Settled, in any order: a window of one has room as soon
// as a result arrives.
func (a *agent) nextOfferAndSettled() (offered *gatewayv1.DispatchRef) {
	a.t.Helper()
	for range 2 {
		select {
		case message := <-a.Received:
			if offer := message.GetOffer(); offer != nil {
				offered = offer.GetDispatch()
			} else if message.GetSettled() == nil {
				a.t.Fatalf("received %v, want Offer and Settled", message)
			}
		case err := <-a.Ended:
			a.t.Fatalf("the session ended with %v", err)
		case <-time.After(waitTimeout):
			a.t.Fatal("received no message, want Offer and Settled")
		}
	}
	return offered
}

// A result that is refused for its content ends its dispatch, and the session continues.
func TestAResultThatTheAPIServerRefusesEndsItsDispatchAlone(t *testing.T) {
	t.Parallel()
	for _, reason := range []metav1.StatusReason{metav1.StatusReasonInvalid, metav1.StatusReasonForbidden, metav1.StatusReasonRequestEntityTooLarge} {
		t.Run(string(reason), func(t *testing.T) {
			t.Parallel()
			ca := newAuthorities(t)
			r := startReplica(t, ca, nil)
			m := newPairedMachine(t, ca, shared.Namespace(t), "pc", func(n *v1alpha1.Node) { n.Spec.MaxInFlight = 1 })
			a := m.connect(t, r)
			m.waitPastSessionStart(t)
			bad := m.createDispatch(t, nil)
			ref := a.nextOffer().GetDispatch()
			refuseStatuses(t, m.id.Namespace, "!has(object.status.output) || !has(object.status.output.poison)", reason, bad)
			good := m.createDispatch(t, nil)
			a.succeed(ref, `{"poison":1}`)
			a.succeed(a.nextOfferAndSettled(), `{"fine":1}`)
			m.wantPhase(t, good, v1alpha1.DispatchSucceeded)
			m.wantPhase(t, bad, v1alpha1.DispatchFailed)
			if s := bad.Status; s.Error == nil || s.Error.Code != v1alpha1.ErrorInvalidOutput || s.Execution != v1alpha1.ExecutionFinished || s.Output != nil {
				t.Errorf("status is %+v, want InvalidOutput of a run that finished", s)
			}
			a.nextSettled()
			a.waitHandled()
		})
	}
}

// A dispatch that cannot be written, with a result or before its claim, delays no other dispatch. It
// ends when it can be written.
func TestADispatchThatCannotBeWrittenKeepsNoOtherBack(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", func(n *v1alpha1.Node) { n.Spec.MaxInFlight = 1 })
	stuck := func(d *v1alpha1.CapabilityDispatch) { d.Labels = map[string]string{"stuck": "yes"} }
	claimed := m.createDispatch(t, stuck) // older than the session, so it is not offered without a claim
	allow := refuseStatuses(t, m.id.Namespace, "!has(object.metadata.labels) || !('stuck' in object.metadata.labels)", metav1.StatusReasonInvalid, claimed)
	a := m.connect(t, r)
	m.waitPastSessionStart(t)
	reported := m.createDispatch(t, stuck)
	ref := a.nextOffer().GetDispatch()
	if ref.GetUid() != string(reported.UID) {
		t.Fatalf("offered %v, want the dispatch that needs no claim", ref)
	}
	a.succeed(ref, `1`)
	for range 3 {
		d := m.createDispatch(t, nil)
		offer := a.nextOffer()
		if offer.GetDispatch().GetUid() != string(d.UID) {
			t.Fatalf("offered %v, want the next dispatch", offer)
		}
		a.succeed(offer.GetDispatch(), `1`)
		a.nextSettled()
	}
	allow()
	a.succeed(a.nextOfferAndSettled(), `1`)
	m.wantPhase(t, reported, v1alpha1.DispatchFailed)
	m.wantPhase(t, claimed, v1alpha1.DispatchSucceeded)
}

// A dispatch whose own spec fills an object of etcd has no room for any status. This test is not
// parallel: the gateways of all tests would receive its large objects.
func TestADispatchWithoutRoomForAStatusKeepsNoOtherBack(t *testing.T) {
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", func(n *v1alpha1.Node) { n.Spec.MaxInFlight = 1 })
	a := m.connect(t, r)
	m.waitPastSessionStart(t)
	full := m.createLargest(t)
	ref := a.nextOffer().GetDispatch()
	a.succeed(ref, `{"a":"`+strings.Repeat("<", 60_000)+`"}`)
	works := func(a *agent) {
		t.Helper()
		d := m.createDispatch(t, nil)
		a.succeed(a.nextOffer().GetDispatch(), `1`)
		a.nextSettled()
		m.wantPhase(t, d, v1alpha1.DispatchSucceeded)
	}
	works(a)
	a.stop()
	again := m.connect(t, r, &gatewayv1.UnsettledDispatch{Dispatch: ref, State: gatewayv1.UnsettledDispatch_STATE_FINISHED})
	again.succeed(ref, `1`)
	m.waitPastSessionStart(t)
	works(again)
	if err := shared.Client().Delete(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	if got := again.nextSettled().GetDispatch().GetUid(); got != string(full.UID) {
		t.Errorf("settled %s, want the deleted dispatch", got)
	}
}

// createLargest creates the largest dispatch that the API server stores, to within 64 bytes. It
// searches near the limit of etcd, because each attempt with an object of this size takes seconds.
func (m *machine) createLargest(t *testing.T) *v1alpha1.CapabilityDispatch {
	t.Helper()
	padded := func(node string, padding int) (*v1alpha1.CapabilityDispatch, error) {
		d := m.newDispatch()
		d.Spec.NodeName = node
		d.Spec.Input = &v1alpha1.JSON{Raw: []byte(`{"x":"` + strings.Repeat("<", 225_000) + `"}`)}
		d.Annotations = map[string]string{"padding": strings.Repeat("a", padding)}
		return d, shared.Client().Create(t.Context(), d)
	}
	attempt := func(padding int) (d *v1alpha1.CapabilityDispatch, stored bool) {
		d, err := padded("zz", padding) // a Node that does not exist
		if err != nil {
			return nil, false
		}
		if err := shared.Client().Delete(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		return d, true
	}
	smallest, stored := attempt(0)
	if !stored {
		t.Fatal("an object without padding is not stored")
	}
	encoded, err := json.Marshal(smallest)
	if err != nil {
		t.Fatal(err)
	}
	const etcdLimit, margin = 3 << 19, 2048
	first, last := etcdLimit-len(encoded)-margin, etcdLimit-len(encoded)+margin
	low, high := first, last
	for high-low > 64 {
		middle := (low + high) / 2
		if _, stored := attempt(middle); stored {
			low = middle
		} else {
			high = middle
		}
	}
	if low == first || high == last {
		t.Fatalf("an object of about %d bytes is not the largest that is stored", etcdLimit)
	}
	d, err := padded(m.id.Node, low)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
