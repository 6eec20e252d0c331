package machine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// touchFile is a mediated capability that creates a file when it runs.
const touchFile = "argv: [/bin/touch, '{dir}/ran']\ninputSchema: {type: object}\nmediation: local"

func (m *machine) hasRun() bool {
	_, err := os.Stat(filepath.Join(m.dir, "ran"))
	return err == nil
}

// awaitNoQuestion waits until no question is open at the machine.
func (m *machine) awaitNoQuestion() {
	m.Helper()
	m.Eventually("no question is left", func() bool { return strings.Contains(m.runMediate("list"), "Nothing waits") })
}

// TestAGrantThatEndsWhileThePersonIsAskedEndsTheQuestion revokes a grant while a person is asked. The
// question must disappear.
func TestAGrantThatEndsWhileThePersonIsAskedEndsTheQuestion(t *testing.T) {
	m := newMachine(t, map[string]string{"own.asked": touchFile})
	d := m.awaitAsked(m.CreateDispatch(m.node, "own.asked", map[string]any{}))
	m.awaitQuestion(d.Name)
	m.PatchNode(m.node, `{"spec":{"capabilityPolicy":{"deny":["own.asked"]}}}`)
	if s := m.AwaitEnded(d).Status; s.Phase != v1alpha1.DispatchRejected || s.Execution != v1alpha1.ExecutionNotStarted || s.Error.Code != v1alpha1.ErrorNotGranted {
		t.Errorf("ended %+v", s)
	}
	m.awaitNoQuestion()
	if m.hasRun() {
		t.Error("the dispatch ran")
	}
}

// TestAYesWithoutASessionStartsNothingThatLostItsGrant allows a run while the gateway is down. The
// agent must not start it before the gateway has checked the grant again.
func TestAYesWithoutASessionStartsNothingThatLostItsGrant(t *testing.T) {
	m := newMachine(t, map[string]string{"own.asked": touchFile})
	d := m.awaitAsked(m.CreateDispatch(m.node, "own.asked", map[string]any{}))
	m.awaitQuestion(d.Name)
	system.Gateways[0].Stop()
	m.runMediate("allow", d.Name)
	m.PatchNode(m.node, `{"spec":{"capabilityPolicy":{"deny":["own.asked"]}}}`)
	m.RestartGateway()
	if s := m.AwaitEnded(d).Status; s.Phase != v1alpha1.DispatchRejected || s.Execution != v1alpha1.ExecutionNotStarted || s.Error.Code != v1alpha1.ErrorNotGranted {
		t.Errorf("ended %+v", s)
	}
	if m.hasRun() {
		t.Error("the dispatch ran")
	}
}

// TestTheQuestionOfASuspendedNodeWaits verifies that a suspended Node shows no question and starts
// nothing. Its dispatches keep their phases and continue when the Node is resumed.
func TestTheQuestionOfASuspendedNodeWaits(t *testing.T) {
	m := newMachine(t, map[string]string{"own.asked": touchFile})
	d := m.awaitAsked(m.CreateDispatch(m.node, "own.asked", map[string]any{}))
	m.awaitQuestion(d.Name)
	m.SetDesiredState(m.node, v1alpha1.NodeSuspended)
	m.awaitNoQuestion()
	if s := testfleet.Read(m.fleet, d).Status; s.Phase != v1alpha1.DispatchAwaitingLocalMediation {
		t.Errorf("the work of a suspended Node is %s: %+v", s.Phase, s)
	}
	m.SetDesiredState(m.node, v1alpha1.NodeActive)
	m.awaitQuestion(d.Name)
	m.runMediate("allow", d.Name)
	if s := m.AwaitEnded(d).Status; s.Phase != v1alpha1.DispatchSucceeded || !m.hasRun() {
		t.Errorf("after the Node was resumed and the run allowed: %+v, ran: %v", s, m.hasRun())
	}
}
