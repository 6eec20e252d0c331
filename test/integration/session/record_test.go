package session_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/test/eventually"
)

func dnsName(text string) string { return strings.ReplaceAll(text, " ", "-") }

func refOf(d *v1alpha1.CapabilityDispatch) *gatewayv1.DispatchRef {
	return &gatewayv1.DispatchRef{Namespace: d.Namespace, Name: d.Name, Uid: string(d.UID)}
}

// hostile is a text with characters that YAML refuses or misreads, or that cannot be printed.
const hostile = "a\ufffe\uffff\x7f\u0080\u0085\u2028\u2029\ufeff\x00\U0001fffe: b # 'c' \"d\" \\/"

var hostileSchemas = []string{
	"{\"a\":\"x\ufffe\uffff\x7f\u0085\u2028y\"}", `{"$ref":"a\/b","b":"\ud83d\ude00\ud83d","c":"\u0000\uFFFF"}`, `{"a":1,"a":2,"<<":{"b":3}}`,
}

func hostileCapabilities() []*gatewayv1.Capability {
	list := []*gatewayv1.Capability{{Name: "echo", Available: true, Description: hostile, Reason: hostile}}
	for i, schema := range hostileSchemas {
		list = append(list, &gatewayv1.Capability{Name: "sleep" + strings.Repeat("y", i), Description: hostile, InputSchema: []byte(schema)})
	}
	return list
}

func TestWordsThatYAMLRefusesDoNotKeepASessionFromItsRecordOrItsEnd(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	m.customDescription = &gatewayv1.RegisterNodeRequest{BootId: "boot",
		System:       &gatewayv1.SystemInfo{Hostname: hostile, Os: hostile, Arch: hostile, Platform: hostile, KernelVersion: hostile, OsImage: hostile, AgentVersion: hostile},
		Capabilities: hostileCapabilities()}
	a := m.connect(t, r)
	schemas := 0
	for _, c := range getLive(t, m.node).Status.Capabilities {
		if c.InputSchema != nil {
			schemas++
		}
	}
	if schemas != len(hostileSchemas) || !strings.HasPrefix(m.node.Status.System.Hostname, "a") {
		t.Errorf("%d schemas and host name %q are stored, want %d and the printable characters", schemas, m.node.Status.System.Hostname, len(hostileSchemas))
	}
	a.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_CapabilitiesChanged{
		CapabilitiesChanged: &gatewayv1.CapabilitiesChanged{Capabilities: hostileCapabilities()[:2]}}})
	eventually.True(t, "the change is written", func() bool { return len(getLive(t, m.node).Status.Capabilities) == 2 })

	m.waitPastSessionStart(t)
	good, bad := m.createDispatch(t, nil), m.createDispatch(t, nil)
	a.nextOffer()
	a.nextOffer()
	a.succeed(refOf(good), `{"a":"`+`\ud83d\/\u0000\uffff`+"\ufffe\x7f\u2028"+`"}`)
	a.Report(&gatewayv1.Result{Dispatch: refOf(bad), Outcome: gatewayv1.Result_OUTCOME_FAILED, Execution: gatewayv1.Result_EXECUTION_FINISHED,
		ErrorCode: "Broken", ErrorMessage: hostile})
	m.wantPhase(t, good, v1alpha1.DispatchSucceeded)
	m.wantPhase(t, bad, v1alpha1.DispatchFailed)
	a.stopAfterSettled(2)
	eventually.True(t, "the end is recorded", func() bool { return !dispatch.SessionOf(getLive(t, m.node)).Live() })
}

// The end of a session is recorded even if the API server refuses the description of the machine for
// an unforeseen reason. A policy simulates that reason.
func TestEndIsRecordedWithoutTheWordsOfTheMachine(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	refuseDescribedEnds(t, m)
	a.stop()
	eventually.True(t, "the end is recorded", func() bool { return !dispatch.SessionOf(getLive(t, m.node)).Live() })
	if s := m.node.Status; s.SessionID != a.welcome.GetSessionId() || s.JournalID != m.journalID || s.DialCounter != int64(m.dialCounter) || s.System != nil {
		t.Errorf("status is %+v, want the session without the description", s)
	}
}

// refuseDescribedEnds forbids a status of the Node that has both a description and the end of a
// session.
func refuseDescribedEnds(t *testing.T, m *machine) {
	t.Helper()
	name := "refuse-described-ends." + m.id.Namespace
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	policy.Spec.MatchConstraints = &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
		RuleWithOperations: admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{"mooring.dev"}, APIVersions: []string{"*"}, Resources: []string{"nodes/status"}}}}}}
	policy.Spec.MatchConditions = []admissionregistrationv1.MatchCondition{{Name: "here", Expression: "request.namespace == '" + m.id.Namespace + "'"}}
	policy.Spec.Validations = []admissionregistrationv1.Validation{{
		Expression: "!(has(object.status.system) && has(object.status.sessionEndedTime))", Message: "refused by the test"}}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}}
	binding.Spec.PolicyName, binding.Spec.ValidationActions = name, []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}
	for _, o := range []client.Object{policy, binding} {
		if err := shared.Client().Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = shared.Client().Delete(context.WithoutCancel(t.Context()), o) })
	}
	end := metav1.NewTime(time.Now())
	eventually.True(t, "the policy is in force", func() bool {
		node := getLive(t, m.node.DeepCopy())
		node.Status.SessionEndedTime = &end
		err := shared.Client().Status().Update(t.Context(), node, client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "refused by the test")
	})
}

func TestSessionWhoseRecordWasStoredButNotAnsweredIsEnded(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	r.api.loseNodeWrite.Store(true)
	m.startSession(t, r, m.nextHello()).wantEnd(codes.Internal)
	eventually.True(t, "the session ends, because its gateway does not hold it", func() bool {
		s := dispatch.SessionOf(getLive(t, m.node))
		return s.Started != nil && !s.Live()
	}, &m.node.Status)
	if e := m.node.Status.LastEvent; e == nil || e.Name != v1alpha1.ReasonSessionLost {
		t.Errorf("last event is %+v, want SessionLost", e)
	}
	m.connect(t, r)
}
