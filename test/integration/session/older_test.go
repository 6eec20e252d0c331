package session_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/test/eventually"
)

// A machine is restored to a snapshot that was taken in its current session, before an acceptance.
// Its dial counter exceeds the recorded one, but the acceptance is missing from its journal.
func TestJournalThatForgotWhatItAcceptedIsReset(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	one, two := startReplica(t, ca, nil), startReplica(t, ca, nil) // They write Dispatched late.
	namespace := shared.Namespace(t)
	cases := map[string]struct {
		backTo *replica
		end    bool // the end of the session is recorded before the machine reconnects
	}{
		"it comes back later":                 {one, true},
		"it comes back to another gateway":    {two, true},
		"it comes back in place of a session": {one, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newPairedMachine(t, ca, namespace, dnsName(name), nil)
			a := m.connect(t, one)
			m.waitPastSessionStart(t)
			ran, quiet := m.createDispatch(t, nil), m.createDispatch(t, nil)
			a.nextOffer()
			a.nextOffer()
			a.accept(refOf(ran))
			a.waitHandled()
			if c.end {
				a.cancel()
				eventually.True(t, "the end is recorded", func() bool { return !dispatch.SessionOf(getLive(t, m.node)).Live() })
				if !dispatch.Accepted(getLive(t, ran).Status) {
					t.Errorf("status is %+v after the session, want the recorded acceptance", ran.Status)
				}
			}
			a = m.connect(t, c.backTo)
			for range 2 {
				a.nextCancel()
			}
			for _, d := range []*v1alpha1.CapabilityDispatch{ran, quiet} {
				m.wantReset(t, d, v1alpha1.ExecutionUnknown)
			}
			// According to the old journal, one dispatch never ran and the other has ended.
			a.Report(&gatewayv1.Result{Dispatch: refOf(ran), Outcome: gatewayv1.Result_OUTCOME_CANCELLED, Execution: gatewayv1.Result_EXECUTION_NOT_STARTED})
			a.nextSettled()
			a.succeed(refOf(quiet), `1`)
			a.nextSettled()
			m.wantReset(t, ran, v1alpha1.ExecutionUnknown)
			m.wantReset(t, quiet, v1alpha1.ExecutionFinished)
			m.waitPastSessionStart(t)
			fresh := m.createDispatch(t, nil)
			if got := a.nextOffer().GetDispatch().GetUid(); got != string(fresh.UID) {
				t.Errorf("offered %s, want only the new dispatch", got)
			}
		})
	}
}

// A status with the recorded acceptance is sufficient, even if the dial counter of the journal is
// the newest.
func TestWhatAMachineAcceptedIsNeverOfferedAgain(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	d := m.createDispatch(t, nil)
	a.accept(a.nextOffer().GetDispatch())
	a.waitHandled()
	a.cancel()
	eventually.True(t, "the acceptance is recorded", func() bool { return dispatch.Accepted(getLive(t, d).Status) })
	m.connect(t, r)
	m.wantPhase(t, d, v1alpha1.DispatchFailed)
	m.wantReset(t, d, v1alpha1.ExecutionUnknown)
}

func (m *machine) wantReset(t *testing.T, d *v1alpha1.CapabilityDispatch, execution v1alpha1.Execution) {
	t.Helper()
	s := getLive(t, d).Status
	if s.Phase != v1alpha1.DispatchFailed || s.Execution != execution || s.Error == nil || s.Error.Code != v1alpha1.ErrorJournalReset {
		t.Errorf("status is %+v, want Failed, JournalReset, %s", s, execution)
	}
}

// A dispatch that was claimed and offered without a received acceptance proves nothing about a
// journal.
func TestClaimedButNeverAcceptedIsOfferedAgain(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	d := m.createDispatch(t, nil)
	a := m.connect(t, r)
	a.nextOffer()
	if getLive(t, d).Status.Phase != v1alpha1.DispatchDispatched {
		t.Fatalf("status is %+v, want it claimed", d.Status)
	}
	a.cancel()
	eventually.True(t, "the end is recorded", func() bool { return !dispatch.SessionOf(getLive(t, m.node)).Live() })
	a = m.connect(t, r)
	if got := a.nextOffer().GetDispatch().GetUid(); got != string(d.UID) {
		t.Errorf("offered %s, want the dispatch again", got)
	}
}

func TestSecondAgentOfOneJournalIsNoted(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	one, two := startReplica(t, ca, nil), startReplica(t, ca, nil)
	namespace := shared.Namespace(t)
	for name, r := range map[string]*replica{"at the same gateway": one, "at another gateway": two} {
		t.Run(name, func(t *testing.T) {
			m := newPairedMachine(t, ca, namespace, dnsName(name), nil)
			a := m.connect(t, one)
			m.dialCounter--
			m.startSession(t, r, m.nextHello()).wantEnd(codes.Aborted)
			if got := cloneReason(getLive(t, m.node)); got != v1alpha1.ReasonDialRepeated {
				t.Fatalf("reason of SuspectedClone is %q, want DialRepeated", got)
			}
			// The gateway that holds the session keeps the condition that the other gateway set.
			a.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_CapabilitiesChanged{
				CapabilitiesChanged: &gatewayv1.CapabilitiesChanged{Capabilities: []*gatewayv1.Capability{{Name: "echo", Available: true}}}}})
			eventually.True(t, "the change is written", func() bool { return getLive(t, m.node).Status.CapabilitySummary == "1/2" })
			a.stop()
			eventually.True(t, "the end is recorded", func() bool { return !dispatch.SessionOf(getLive(t, m.node)).Live() })
			m.connect(t, r)
			if got := cloneReason(getLive(t, m.node)); got != v1alpha1.ReasonDialRepeated {
				t.Errorf("reason of SuspectedClone is %q after the next session began, want it kept", got)
			}
		})
	}
	honest := newPairedMachine(t, ca, namespace, "honest", nil)
	honest.connect(t, one)
	honest.connect(t, two)
	honest.connect(t, two)
	if got := cloneReason(getLive(t, honest.node)); got != "" {
		t.Errorf("SuspectedClone, %s, of a machine that redialed", got)
	}
}

func cloneReason(node *v1alpha1.Node) string {
	for _, c := range node.Status.Conditions {
		if c.Type == v1alpha1.ConditionSuspectedClone {
			return c.Reason
		}
	}
	return ""
}
