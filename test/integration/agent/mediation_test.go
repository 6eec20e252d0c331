package agent_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/test/eventually"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// requireMediation makes the machine ask a person before it runs a dispatch.
func (m *machine) requireMediation(uid string) {
	m.Helper()
	rules := "rules: [{capability: test.append, target: '**\"line\":\"" + uid + "\"**', decision: ask}]\n"
	if err := os.WriteFile(filepath.Join(m.identityDir(), "mediation.yaml"), []byte(rules), 0o600); err != nil {
		m.Fatal(err)
	}
}

// answer waits until the person is asked and gives the answer: allow or deny.
func (m *machine) answer(s *fakegateway.Session, answer, uid string) {
	m.Helper()
	fakegateway.AwaitMessage(m, s, (*gatewayv1.StreamNodeEventsRequest).GetAwaitingLocalMediation)
	argv := m.command("mediate", answer, uid)
	if output, err := exec.CommandContext(m.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
		m.Fatalf("mediate %s %s: %v\n%s", answer, uid, err, output)
	}
}

func (m *machine) sendClearance(s *fakegateway.Session, uid string, stage gatewayv1.Clearance_Stage) {
	m.Helper()
	s.Send(m, &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Clearance{
		Clearance: &gatewayv1.Clearance{Dispatch: dispatchRef(uid), Stage: stage}}})
}

// TestAMachineWaitsForItsGatewayAfterAYes checks that an allowed run does not start before the
// gateway has checked the rights again.
func TestAMachineWaitsForItsGatewayAfterAYes(t *testing.T) {
	m, _ := newMachine(t)
	m.gateway.Node.Welcome = func(w *gatewayv1.Welcome) { w.Features = []gatewayv1.Feature{gatewayv1.Feature_FEATURE_CLEARANCE} }
	s := m.restart()
	m.requireMediation("a")
	m.sendOffer(s, "a", 0, inOneHour())
	m.answer(s, "allow", "a")
	fakegateway.AwaitMessage(m, s, (*gatewayv1.StreamNodeEventsRequest).GetMediationDecided)
	m.sendOffer(s, "b", 0, inOneHour())
	m.wantResult(s, "b", succeeded, finished)
	m.wantRuns("b")
	m.sendClearance(s, "a", gatewayv1.Clearance_STAGE_START)
	m.wantResult(s, "a", succeeded, finished)
	m.wantRuns("b a")
}

// TestAMachineStartsNothingAfterANo checks that no run starts after a denial, whichever result the
// agent reports.
func TestAMachineStartsNothingAfterANo(t *testing.T) {
	m, s := newMachine(t)
	m.requireMediation("a")
	m.sendOffer(s, "a", 0, inOneHour())
	m.answer(s, "deny", "a")
	if execution := m.awaitResult(s, "a").GetExecution(); execution != notStarted {
		t.Errorf("after a no the execution is %s", execution)
	}
	m.wantRuns("")
}

// TestAMachineSaysOfAnInterruptedRunAfterAYesThatItMayHaveRun checks that the start of an allowed
// run is on disk before the run.
func TestAMachineSaysOfAnInterruptedRunAfterAYesThatItMayHaveRun(t *testing.T) {
	m, s := newMachine(t)
	m.requireMediation("a")
	m.sendOffer(s, "a", time.Hour, inOneHour())
	m.answer(s, "allow", "a")
	eventually.True(t, "the run starts", func() bool { _, err := os.Stat(m.startedFile("a")); return err == nil })
	m.wantResult(m.restart(), "a", failed, unknown)
}
