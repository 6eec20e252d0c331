package dispatchtable

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/test/logtest"
)

// serveDispatch offers a dispatch that must be claimed, and settles it with a result.
func serveDispatch(t *testing.T, log logr.Logger, input, output string) {
	t.Helper()
	c := newClock()
	h, at, _ := newHarness(c)
	h.Log = log
	d := newDispatch(c, v1alpha1.DispatchQueued)
	d.Spec.Input = &v1alpha1.JSON{Raw: []byte(input)}
	d.Spec.MaxPayloadBytes = 1 << 16
	h.ClaimUntil(d.CreationTimestamp) // as if it were older than the session
	h.addWaiting(d)
	h.run(h.offer)
	h.runPending()
	h.receive(acceptedOf(d))
	h.runPending()
	result := succeeded(d)
	result.Output = []byte(output)
	h.report(result)
	h.runPending()
	if !h.settledSent() || !strings.Contains(string(at.dispatch.Status.Output.Raw), output) {
		t.Fatalf("sent %v, status %+v: want the dispatch settled", h.sent(), at.dispatch.Status)
	}
}

// The session adds a line for each write.
func TestADispatchIsFollowedInTheLogAtDebugOnly(t *testing.T) {
	const input, output = `{"word":"secret-input"}`, `"secret-output"`
	log, lines := logtest.New(slog.LevelDebug)
	serveDispatch(t, log, input, output)
	want := []string{"dispatch admitted", "dispatch claimed", "dispatch offered", "dispatch accepted", "result received", "dispatch settled"}
	if strings.Contains(lines.String(), "secret") {
		t.Errorf("the log holds an input or an output:\n%s", lines)
	}
	for line := range strings.Lines(lines.String()) {
		for _, key := range []string{"namespace", "node", "dispatch", "uid"} {
			if !strings.Contains(line, `"`+key+`":"`) {
				t.Errorf("a line without %s: %s", key, line)
			}
		}
	}
	if got := logtest.Messages(t, lines); !slices.Equal(got, want) {
		t.Errorf("messages\n%q, want\n%q", got, want)
	}
	log, lines = logtest.New(slog.LevelInfo)
	serveDispatch(t, log, input, output)
	if lines.Len() != 0 {
		t.Errorf("lines at info:\n%s", lines)
	}
}

func TestADispatchThatIsRefusedIsLoggedWithItsCode(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	log, lines := logtest.New(slog.LevelDebug)
	h.Log, h.declared = log, nil
	h.addWaiting(newDispatch(c, v1alpha1.DispatchQueued))
	h.run(h.offer)
	h.runPending()
	want := []string{"dispatch refused", "dispatch settled"}
	if got := logtest.Messages(t, lines); !slices.Equal(got, want) || !strings.Contains(lines.String(), `"code":"UnknownCapability"`) {
		t.Errorf("messages %q, want %q with the code:\n%s", got, want, lines)
	}
}

func TestADebugLineHoldsAllItsPairs(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	log, lines := logtest.New(slog.LevelDebug)
	h.Log = log
	pairs := []string{"a", "1", "b", "2", "c", "3", "d", "4", "e", "5"}
	d := newDispatch(c, v1alpha1.DispatchQueued)
	h.debugDispatch("about a dispatch", d, pairs...)
	h.debug("about the session", pairs...)
	for line := range strings.Lines(lines.String()) {
		for _, want := range []string{`"namespace":"fleet"`, `"node":"pc"`, `"a":"1"`, `"e":"5"`} {
			if !strings.Contains(line, want) {
				t.Errorf("a line without %s: %s", want, line)
			}
		}
	}
	if !strings.Contains(lines.String(), `"uid":"`+string(d.UID)+`"`) || !strings.Contains(lines.String(), `"session":"session"`) {
		t.Errorf("the lines name no dispatch or no session:\n%s", lines)
	}
}

// Dispatches and sessions pass these calls all the time, and debug lines are rarely enabled.
func TestADebugLineCostsNothingWhileItIsDisabled(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	h.Log, _ = logtest.New(slog.LevelInfo)
	d := newDispatch(c, v1alpha1.DispatchQueued)
	d.Status.Error = &v1alpha1.DispatchError{Code: v1alpha1.ErrorExpired}
	if allocated := testing.AllocsPerRun(100, func() {
		h.debugDispatch("status written", d, "step", "settle", "phase", string(d.Status.Phase), "code", ErrorCode(&d.Status))
		h.debugDispatch("dispatch settled", d)
		h.debug("offers wait", "reason", h.session.ID)
		Debug(h.Log, "status written", d, "step", "settle", "code", ErrorCode(&d.Status))
	}); allocated != 0 {
		t.Errorf("%v allocations of disabled debug lines, want none", allocated)
	}
}

// A machine chooses the UID of a result, so its length in the log is bounded.
func TestTheUIDOfAnUnknownResultIsBoundedInTheLog(t *testing.T) {
	h, _, _ := newHarness(newClock())
	log, lines := logtest.New(slog.LevelDebug)
	h.Log = log
	h.report(&gatewayv1.Result{Dispatch: &gatewayv1.DispatchRef{Namespace: "other", Uid: strings.Repeat("u", 1<<16)}})
	if !strings.Contains(lines.String(), "result of another machine dropped") || lines.Len() > 1000 {
		t.Errorf("the log has %d bytes: %.300s", lines.Len(), lines)
	}
}

func TestTheReasonWhyOffersWaitIsLogged(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*harness, *gate)
		want   string // empty for no line
	}{
		"suspended":            {func(h *harness, _ *gate) { h.node.Spec.DesiredState = v1alpha1.NodeSuspended }, "the node is suspended"},
		"a full window":        {func(h *harness, _ *gate) { h.inFlight["another"] = struct{}{} }, "as many dispatches as spec.maxInFlight"},
		"blocked":              {func(_ *harness, g *gate) { g.err = errTest }, "for the test"},
		"an ended certificate": {func(h *harness, _ *gate) { h.session.CertificateExpiry = noon.Time }, "the certificate of the session expired"},
		"an empty queue":       {func(h *harness, _ *gate) { h.queue = queue{} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, _, gate := newHarness(c)
			log, lines := logtest.New(slog.LevelDebug)
			h.Log = log
			h.addWaiting(newDispatch(c, v1alpha1.DispatchQueued))
			tt.change(h, gate)
			h.run(h.offer)
			if (lines.Len() == 0) != (tt.want == "") || !strings.Contains(lines.String(), tt.want) {
				t.Errorf("the log has %q, want %q", lines, tt.want)
			}
		})
	}
}

func TestAReviewIsLoggedWithItsOutcome(t *testing.T) {
	c := newClock()
	for want, tt := range map[string]struct {
		review dispatch.Review
		err    error
	}{
		ReviewAllowed: {dispatch.ReviewPassed, nil}, ReviewRefused: {dispatch.ReviewRefused, nil}, ReviewFailed: {dispatch.ReviewMissing, errTest},
	} {
		h, _, _ := newHarness(c)
		log, lines := logtest.New(slog.LevelDebug)
		h.Log = log
		if h.debugReview(&entry{d: newDispatch(c, v1alpha1.DispatchQueued)}, tt.review, tt.err); !strings.Contains(lines.String(), `"outcome":"`+want+`"`) {
			t.Errorf("the log has %q, want %s", lines, want)
		}
	}
}

// A job that fails because the session ends is not an error.
func TestAFailedJobIsLoggedUnlessTheSessionEnds(t *testing.T) {
	for _, cancelled := range []bool{false, true} {
		c := newClock()
		h, _, _ := newHarness(c)
		log, lines := logtest.New(slog.LevelInfo)
		h.Log, h.cancelled = log, cancelled
		e := h.addWaiting(newDispatch(c, v1alpha1.DispatchQueued))
		h.do(h.HandleReview(h.snapshot(), &Review{entry: e}, dispatch.ReviewMissing, errTest))
		h.run(func() { h.handleWritten(e, nil, errTest, func(error) {}) })
		if logged := len(logtest.Messages(t, lines)) == 2; logged == cancelled {
			t.Errorf("cancelled %t: the log has %q", cancelled, lines)
		}
	}
}

func TestEveryStageHasAName(t *testing.T) {
	for stage, want := range map[gatewayv1.Clearance_Stage]string{gatewayv1.Clearance_STAGE_HOLD: "hold", stageAsk: "ask", stageStart: "start", 0: "unknown"} {
		if got := stageName(stage); got != want {
			t.Errorf("stage %s is %q, want %q", stage, got, want)
		}
	}
}
