package nodeagent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// The test binary is also the agent, so that a test can kill a real process.
const (
	childDirEnv = "NODEAGENT_TEST_DIR"
	// childRotatesEnv makes the child rotate its key whenever its certificate is due for renewal.
	childRotatesEnv = "NODEAGENT_TEST_ROTATES"
)

func TestMain(m *testing.M) {
	dir := os.Getenv(childDirEnv)
	if dir == "" {
		goleak.VerifyTestMain(m)
	}
	var every, pause time.Duration
	if os.Getenv(childRotatesEnv) != "" {
		every, pause = time.Nanosecond, time.Nanosecond
	}
	err := nodeagent.Run(context.Background(), nodeagent.Options{
		RotateKeyEvery: every, RenewPause: pause,
		Dir: dir, Pairing: os.Getenv("NODEAGENT_TEST_PAIRING"), Code: &fakegateway.Code, NodeName: "box",
		Extra: []capability.Capability{appendLine{}}, Out: os.Stdout, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// appendLine is a capability that appends a line to a file, between two pauses of some
// milliseconds.
type appendLine struct{}

type appendInput struct {
	File, Line string
}

func (appendLine) Name() string                    { return "test.append" }
func (appendLine) Description() string             { return "appends a line" }
func (appendLine) Schema() json.RawMessage         { return nil }
func (appendLine) Mediation() capability.Mediation { return capability.MediationNone }
func (appendLine) Run(_ context.Context, r capability.Request) (json.RawMessage, error) {
	var in appendInput
	if err := json.Unmarshal(r.Input, &in); err != nil {
		return nil, err
	}
	time.Sleep(20 * time.Millisecond) // the simulated work: the kill comes before, during or after it
	file, err := os.OpenFile(in.File, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := fmt.Fprintln(file, in.Line); err != nil {
		return nil, err
	}
	time.Sleep(20 * time.Millisecond)
	return json.RawMessage(`"done"`), nil
}

// agentProcess is an agent process.
type agentProcess struct {
	cmd    *exec.Cmd
	output *bytes.Buffer
}

func startAgentProcess(t *testing.T, g *fakegateway.Gateway, dir string) *agentProcess {
	t.Helper()
	c := &agentProcess{cmd: exec.Command(os.Args[0]), output: &bytes.Buffer{}}
	c.cmd.Env = append(os.Environ(), childDirEnv+"="+dir, "NODEAGENT_TEST_PAIRING="+g.PairingEndpoint)
	c.cmd.Stdout, c.cmd.Stderr = c.output, c.output
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			t.Logf("output of the agent:\n%s", c.output)
		}
	})
	return c
}

// kill sends SIGKILL and waits for the end of the process.
func (c *agentProcess) kill() {
	_ = c.cmd.Process.Signal(syscall.SIGKILL)
	_ = c.cmd.Wait()
}

// fakeCluster holds the state that a gateway would have: the outcome of each dispatch.
type fakeCluster struct {
	t        *testing.T
	file     string
	uids     []string
	outcomes map[string]*gatewayv1.Result
}

// offerAndSettle offers every dispatch that has no outcome. It settles results until all dispatches have one
// or enough results arrived.
func (c *fakeCluster) offerAndSettle(s *fakegateway.Session, maxResults int) {
	unsettled := map[string]bool{}
	for _, u := range s.Hello.GetUnsettled() {
		unsettled[u.GetDispatch().GetUid()] = true
	}
	for _, uid := range c.uids {
		if c.outcomes[uid] == nil && !unsettled[uid] {
			s.Send(c.t, c.offer(uid))
		}
	}
	for range maxResults {
		if len(c.outcomes) == len(c.uids) {
			return
		}
		r := fakegateway.AwaitMessage(c.t, s, func(m *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Result { return m.GetResult() })
		uid := r.GetDispatch().GetUid()
		if c.outcomes[uid] == nil {
			c.outcomes[uid] = r
		}
		s.Send(c.t, &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Settled{
			Settled: &gatewayv1.Settled{Dispatch: r.GetDispatch()}}})
	}
}

func (c *fakeCluster) offer(uid string) *gatewayv1.StreamNodeEventsResponse {
	input, err := json.Marshal(appendInput{File: c.file, Line: uid})
	if err != nil {
		c.t.Fatal(err)
	}
	return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Offer{Offer: &gatewayv1.Offer{
		Dispatch:   &gatewayv1.DispatchRef{Namespace: "fleet", Name: uid, Uid: uid},
		Capability: "test.append", Input: input, Timeout: durationpb.New(time.Minute),
		Expires: timestamppb.New(time.Now().Add(time.Hour)), MaxPayloadBytes: 1 << 16,
	}}}
}

// runCounts returns the number of runs of each dispatch.
func (c *fakeCluster) runCounts() map[string]int {
	content, err := os.ReadFile(c.file)
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	counts := map[string]int{}
	for _, line := range strings.Fields(string(content)) {
		counts[line]++
	}
	return counts
}

// TestKilledInTheMiddleEveryDispatchEndsTruthfullyAndRunsOnceAtMost pairs an agent and
// kills it again and again while twenty dispatches run.
func TestKilledInTheMiddleEveryDispatchEndsTruthfullyAndRunsOnceAtMost(t *testing.T) {
	g := fakegateway.Start(t)
	dir := t.TempDir()
	c := &fakeCluster{t: t, file: filepath.Join(dir, "lines"), outcomes: map[string]*gatewayv1.Result{}}
	for i := range 20 {
		c.uids = append(c.uids, fmt.Sprintf("u%02d", i))
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 4 {
		agent := startAgentProcess(t, g, filepath.Join(dir, "id"))
		s := g.Node.NextSession(t)
		c.offerAndSettle(s, random.IntN(6)) // the process then dies with some outcomes settled and others in transit
		agent.kill()
	}
	agent := startAgentProcess(t, g, filepath.Join(dir, "id"))
	c.offerAndSettle(g.Node.NextSession(t), len(c.uids))
	agent.kill()
	runs := c.runCounts()
	for _, uid := range c.uids {
		r := c.outcomes[uid]
		if r == nil {
			t.Errorf("%s has no outcome", uid)
			continue
		}
		want := map[gatewayv1.Result_Execution][2]int{ // minimum and maximum number of runs
			gatewayv1.Result_EXECUTION_FINISHED:    {1, 1},
			gatewayv1.Result_EXECUTION_UNKNOWN:     {0, 1},
			gatewayv1.Result_EXECUTION_NOT_STARTED: {0, 0},
		}
		if bounds, ok := want[r.GetExecution()]; !ok || runs[uid] < bounds[0] || runs[uid] > bounds[1] {
			t.Errorf("%s is %s/%s and ran %d times", uid, r.GetOutcome(), r.GetExecution(), runs[uid])
		}
	}
	if g.Pairing.Confirmations() != 1 {
		t.Errorf("%d confirmations were sent, want 1: later starts need no code", g.Pairing.Confirmations())
	}
}
