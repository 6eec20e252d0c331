package threats_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"google.golang.org/grpc/codes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// Whatever a machine answers, the dispatch ends with a status that can be stored and shown, and the
// session stays open.
func TestMalformedAndOversizedResultsEndTheirDispatchAlone(t *testing.T) {
	f := newFleet(t)
	s := f.connect(f.stealIdentity("hostile")).openSession()
	const limit = 64 << 10
	text := func(n int) []byte { return []byte(`"` + strings.Repeat("a", n-2) + `"`) }
	for _, try := range []struct {
		name      string
		output    []byte
		phase     v1alpha1.DispatchPhase
		truncated bool
	}{
		{"the largest stored output", text(limit), v1alpha1.DispatchSucceeded, false},
		{"one byte more", text(limit + 1), v1alpha1.DispatchSucceeded, true},
		{"all a message holds", text(200 << 10), v1alpha1.DispatchSucceeded, true},
		{"a NUL", []byte("{\"a\":\"\x00\"}"), v1alpha1.DispatchFailed, false},
		{"NULs alone", make([]byte, 1000), v1alpha1.DispatchFailed, false},
		{"invalid UTF-8", []byte("\"\xff\xfe\""), v1alpha1.DispatchFailed, false},
		{"half a surrogate", []byte(`"\ud800"`), v1alpha1.DispatchSucceeded, false},
		{"broken JSON", []byte(`{"a":`), v1alpha1.DispatchFailed, false},
		{"two values", []byte(`{} {}`), v1alpha1.DispatchFailed, false},
		{"20,000 nested arrays", []byte(strings.Repeat("[", 20000) + strings.Repeat("]", 20000)), v1alpha1.DispatchFailed, false},
		{"a number that no type can represent", []byte(`1e999999999`), v1alpha1.DispatchFailed, false},
	} {
		t.Run(try.name, func(t *testing.T) {
			g := f.inSubtest(t)
			d := g.CreateDispatch("hostile", "echo", map[string]any{})
			ref := s.awaitOffer()
			result := succeededResult(ref, try.output)
			result.ErrorCode, result.ErrorMessage = "evil\x1b[2J", "evil\x1b[2J\u202e"+strings.Repeat("é", 5000)
			s.Report(result)
			s.awaitSettled()
			end := g.AwaitEnded(d).Status
			if end.Phase != try.phase || end.OutputTruncated != try.truncated || end.Execution != v1alpha1.ExecutionFinished {
				t.Errorf("ended %s, %s, truncated %v; want %s, Finished, truncated %v", end.Phase, end.Execution, end.OutputTruncated, try.phase, try.truncated)
			}
			checkStored(t, end, limit)
		})
	}
	s.Report(&gatewayv1.Result{Dispatch: refOf(&v1alpha1.CapabilityDispatch{}), Output: bytes.Repeat([]byte("a"), 10<<20)})
	if end := s.AwaitEnd(); end.Code() != codes.ResourceExhausted {
		t.Errorf("10 MiB: the session ended with %v, want ResourceExhausted", end.Err())
	}
	d := f.CreateDispatch("hostile", "echo", map[string]any{})
	again := s.openSession() // the machine may open another session
	again.Report(succeededResult(again.awaitOffer(), []byte(`1`)))
	if end := f.AwaitEnded(d).Status; end.Phase != v1alpha1.DispatchSucceeded {
		t.Errorf("after the flood: %+v", end)
	}
}

// checkStored checks the bounds and the characters of a machine's output and error in a status.
func checkStored(t *testing.T, end v1alpha1.CapabilityDispatchStatus, limit int) {
	t.Helper()
	if end.Output != nil && len(end.Output.Raw) > limit {
		t.Errorf("%d bytes of output are kept, want at most %d", len(end.Output.Raw), limit)
	}
	if end.Phase == v1alpha1.DispatchFailed && (end.Error == nil || end.Error.Code != v1alpha1.ErrorInvalidOutput) {
		t.Errorf("error %+v, want %s", end.Error, v1alpha1.ErrorInvalidOutput)
	}
	if end.Error != nil {
		for _, r := range end.Error.Code + end.Error.Message {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				t.Errorf("the error holds %q: %.80q", r, end.Error.Message)
				break
			}
		}
	}
}

// A finished execution is final, and a UID never belongs to another object.
func TestReplayedResultsChangeNothing(t *testing.T) {
	f := newFleet(t)
	s := f.connect(f.stealIdentity("hostile")).openSession()
	d := f.CreateDispatch("hostile", "echo", map[string]any{"n": 1})
	old := s.awaitOffer()
	s.Report(succeededResult(old, []byte(`"first"`)))
	s.awaitSettled()
	first := f.AwaitEnded(d)
	for _, replayed := range []*gatewayv1.Result{
		succeededResult(old, []byte(`"second"`)),
		{Dispatch: old, Outcome: gatewayv1.Result_OUTCOME_FAILED, Execution: gatewayv1.Result_EXECUTION_NOT_STARTED},
	} {
		s.Report(replayed)
		s.awaitSettled()
	}
	if again := testfleet.Read(f, first.DeepCopy()); again.ResourceVersion != first.ResourceVersion {
		t.Errorf("a finished dispatch was written: %+v", again.Status)
	}

	if err := system.Client.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	anew := &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name}, Spec: d.Spec}
	if err := system.Client.Create(t.Context(), anew); err != nil {
		t.Fatal(err)
	}
	fresh := s.awaitOffer()
	if fresh.GetName() != old.GetName() || fresh.GetUid() == old.GetUid() {
		t.Fatalf("offered %v, want the namesake of %v", fresh, old)
	}
	s.Report(succeededResult(old, []byte(`"replayed"`)))
	if got := s.awaitSettled(); got.GetUid() != old.GetUid() {
		t.Errorf("settled %v, want the old UID", got)
	}
	if live := testfleet.Read(f, anew); live.Status.Output != nil || live.Status.Execution.Final() {
		t.Errorf("the result of the old one settled its namesake: %+v", live.Status)
	}
	s.Report(succeededResult(fresh, []byte(`"true"`)))
	if end := f.AwaitEnded(anew).Status; end.Phase != v1alpha1.DispatchSucceeded || string(end.Output.Raw) != `"true"` {
		t.Errorf("the true result ended it %+v", end)
	}
}

// The agent restarts as a build with one more capability.
func TestCapabilitiesGrowOnlyWithAReview(t *testing.T) {
	f := newFleet(t)
	f.Pair("kiosk").Stop()
	granted := f.GetNode("kiosk").Spec.CapabilityPolicy
	system.AgentBinary = "testagent"
	defer func() { system.AgentBinary = "mooring-agent" }()
	f.StartAgent("kiosk")
	node := testfleet.Await(f, "kiosk", &v1alpha1.Node{}, "under review", func(n *v1alpha1.Node) bool {
		for _, c := range n.Status.Conditions {
			if c.Type == v1alpha1.ConditionCapabilityReviewRequired && c.Status == metav1.ConditionTrue && strings.Contains(c.Message, "test.append") {
				return n.Status.Presence == v1alpha1.PresenceOnline
			}
		}
		return false
	})
	if fmt.Sprint(node.Spec.CapabilityPolicy) != fmt.Sprint(granted) {
		t.Errorf("the grant grew by itself to %v", node.Spec.CapabilityPolicy)
	}
	end := f.AwaitEnded(f.CreateDispatch("kiosk", "test.append", map[string]any{"file": t.TempDir() + "/x", "line": "x"})).Status
	if end.Phase != v1alpha1.DispatchRejected || end.Execution != v1alpha1.ExecutionNotStarted || end.Error.Code != v1alpha1.ErrorNotGranted {
		t.Errorf("a dispatch without a grant ended %+v", end)
	}
	if end := f.AwaitEnded(f.CreateDispatch("kiosk", "echo", map[string]any{})).Status; end.Phase != v1alpha1.DispatchSucceeded {
		t.Errorf("a granted dispatch ended %+v", end)
	}
}
