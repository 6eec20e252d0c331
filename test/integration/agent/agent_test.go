// Package agent_test runs the real agent program against a scripted gateway: each test chooses the
// offers, lost messages and repetitions of the gateway.
package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// machine is one machine and the gateway with which it is paired.
type machine struct {
	*testing.T
	gateway *fakegateway.Gateway
	dir     string
	process *stack.Process
}

// newMachine pairs a machine and returns its first session.
func newMachine(t *testing.T) (*machine, *fakegateway.Session) {
	t.Helper()
	m := &machine{T: t, gateway: fakegateway.Start(t), dir: t.TempDir()}
	m.start("--pairing", m.gateway.PairingEndpoint, "--code", fakegateway.Code.String())
	return m, m.gateway.Node.NextSession(t)
}

// command returns a command line of the agent on this machine.
func (m *machine) command(args ...string) []string {
	m.Helper()
	root, err := controlplane.Root()
	if err != nil {
		m.Fatal(err)
	}
	return append(append([]string{filepath.Join(controlplane.BinaryFolder(root), "testagent")}, args...), "--identity-dir", m.identityDir())
}

func (m *machine) identityDir() string { return filepath.Join(m.dir, "identity") }

func (m *machine) start(args ...string) {
	m.Helper()
	var err error
	if m.process, err = stack.StartProcess("agent", m.dir, nil, m.command(append([]string{"run"}, args...)...)...); err != nil {
		m.Fatal(err)
	}
	m.Cleanup(m.process.Stop)
	m.Cleanup(func() {
		if m.Failed() {
			m.Logf("output of the agent:\n%s", m.process.Tail(20))
		}
	})
}

// restart kills the agent and returns the session of its next process.
func (m *machine) restart() *fakegateway.Session {
	m.Helper()
	m.process.Kill()
	m.start()
	return m.gateway.Node.NextSession(m)
}

func dispatchRef(uid string) *gatewayv1.DispatchRef {
	return &gatewayv1.DispatchRef{Namespace: "fleet", Name: uid, Uid: uid}
}

// sendOffer offers a run that appends its name to a file of the machine after the given time.
func (m *machine) sendOffer(s *fakegateway.Session, uid string, duration time.Duration, expires time.Time) {
	m.Helper()
	input := fmt.Sprintf(`{"file":%q,"line":%q,"sleepMilliseconds":%d,"startedFile":%q}`, m.dir+"/runs", uid, duration.Milliseconds(), m.startedFile(uid))
	s.Send(m, &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Offer{Offer: &gatewayv1.Offer{
		Dispatch: dispatchRef(uid), Capability: "test.append", Input: []byte(input), Timeout: durationpb.New(time.Minute),
		Expires: timestamppb.New(expires), MaxPayloadBytes: 1 << 16, RequestedBy: "ada"}}})
}

// startedFile returns the path of a file that exists once the run of a dispatch has started.
func (m *machine) startedFile(uid string) string { return filepath.Join(m.dir, uid+".started") }

func (m *machine) sendSettled(s *fakegateway.Session, uid string) {
	m.Helper()
	s.Send(m, &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Settled{Settled: &gatewayv1.Settled{Dispatch: dispatchRef(uid)}}})
}

// awaitAccepted waits until the machine reports a dispatch as journaled.
func (m *machine) awaitAccepted(s *fakegateway.Session, uid string) {
	m.Helper()
	fakegateway.AwaitMessage(m, s, func(r *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Accepted {
		if a := r.GetAccepted(); a.GetDispatch().GetUid() == uid {
			return a
		}
		return nil
	})
}

// awaitResult waits for the result of a dispatch.
func (m *machine) awaitResult(s *fakegateway.Session, uid string) *gatewayv1.Result {
	m.Helper()
	return fakegateway.AwaitMessage(m, s, func(r *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Result {
		if result := r.GetResult(); result.GetDispatch().GetUid() == uid {
			return result
		}
		return nil
	})
}

// wantResult waits for the result of a dispatch and compares it.
func (m *machine) wantResult(s *fakegateway.Session, uid string, outcome gatewayv1.Result_Outcome, execution gatewayv1.Result_Execution) {
	m.Helper()
	if got := m.awaitResult(s, uid); got.GetOutcome() != outcome || got.GetExecution() != execution {
		m.Errorf("%s ended %s, %s (%s), want %s, %s", uid, got.GetOutcome(), got.GetExecution(), got.GetErrorCode(), outcome, execution)
	}
}

// wantRuns compares the names of the runs that ended.
func (m *machine) wantRuns(want string) {
	m.Helper()
	text, _ := os.ReadFile(m.dir + "/runs")
	if got := strings.Join(strings.Fields(string(text)), " "); got != want {
		m.Fatalf("the runs were %q, want %q", got, want)
	}
}

const (
	succeeded, failed, timedOut   = gatewayv1.Result_OUTCOME_SUCCEEDED, gatewayv1.Result_OUTCOME_FAILED, gatewayv1.Result_OUTCOME_TIMED_OUT
	finished, unknown, notStarted = gatewayv1.Result_EXECUTION_FINISHED, gatewayv1.Result_EXECUTION_UNKNOWN, gatewayv1.Result_EXECUTION_NOT_STARTED
)

func inOneHour() time.Time { return time.Now().Add(time.Hour) }

// TestAMachineRunsADispatchOnceWhateverItsGatewayRepeats checks that a machine does not run a
// dispatch twice, neither for a gateway that repeats its offer nor for one that lost its state.
func TestAMachineRunsADispatchOnceWhateverItsGatewayRepeats(t *testing.T) {
	m, s := newMachine(t)
	m.sendOffer(s, "a", 0, inOneHour())
	m.wantResult(s, "a", succeeded, finished)
	m.sendOffer(s, "a", 0, inOneHour())
	m.wantResult(s, "a", succeeded, finished)
	m.sendSettled(s, "a")
	m.sendOffer(s, "expired", 0, time.Now().Add(-time.Second))
	m.wantResult(s, "expired", timedOut, notStarted)
	s = m.restart()
	m.sendOffer(s, "a", 0, inOneHour())
	m.sendOffer(s, "b", 0, inOneHour())
	m.wantResult(s, "b", succeeded, finished)
	m.wantRuns("a b")
}

// TestAMachineKeepsAResultUntilItIsSettled checks that a result is sent in each session until it is
// settled, and not before its run has ended.
func TestAMachineKeepsAResultUntilItIsSettled(t *testing.T) {
	m, s := newMachine(t)
	m.sendOffer(s, "a", time.Second, inOneHour())
	m.awaitAccepted(s, "a")
	m.sendSettled(s, "a") // a wrong message of the gateway
	m.wantResult(s, "a", succeeded, finished)
	s = m.restart()
	m.wantResult(s, "a", succeeded, finished)
	m.wantRuns("a")
}

// TestAMachineSaysOfAnInterruptedRunThatItMayHaveRun checks the result of a run that the end of the
// machine interrupted: the run may have done anything.
func TestAMachineSaysOfAnInterruptedRunThatItMayHaveRun(t *testing.T) {
	m, s := newMachine(t)
	dialCounter := s.Hello.GetDialCounter()
	m.sendOffer(s, "a", time.Hour, inOneHour())
	m.awaitAccepted(s, "a")
	s = m.restart()
	if got := s.Hello.GetDialCounter(); got <= dialCounter {
		t.Errorf("the dial counter went from %d to %d", dialCounter, got)
	}
	m.wantResult(s, "a", failed, unknown)
	m.wantRuns("")
}
