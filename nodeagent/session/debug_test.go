package session_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// debugMessages returns the messages of the debug lines, all and those of the dispatch uid.
func debugMessages(t *testing.T, log, uid string) (all, ofDispatch []string) {
	t.Helper()
	for line := range strings.Lines(log) {
		var entry struct{ Level, Msg, Dispatch string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		if entry.Level != "DEBUG" {
			continue
		}
		if all = append(all, entry.Msg); entry.Dispatch == uid {
			ofDispatch = append(ofDispatch, entry.Msg)
		}
	}
	return all, ofDispatch
}

// checkOrder reports an error unless got contains want, in this order.
func checkOrder(t *testing.T, got []string, want ...string) {
	t.Helper()
	left := want
	for _, message := range got {
		if len(left) > 0 && message == left[0] {
			left = left[1:]
		}
	}
	if len(left) > 0 {
		t.Errorf("the log lacks %q of %q in this order:\n%q", left, want, got)
	}
}

// serveOne runs an agent with this level of its log for one dispatch, and returns the log.
func serveOne(t *testing.T, level slog.Level) string {
	t.Helper()
	lines := &screen{}
	a := &agent{log: slog.New(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: level}))}
	g := fakegateway.Start(t)
	a.start(t, g, time.Hour)
	s := g.Node.NextSession(t)
	o := offer("u", "echo")
	o.GetOffer().Input = []byte(`{"word":"secret-word"}`)
	s.Send(t, o)
	if r := awaitResult(t, s, "u"); !strings.Contains(string(r.GetOutput()), "secret-word") {
		t.Fatalf("result: %v", r)
	}
	s.Send(t, settled("u"))
	s.Send(t, offer("unknown", "no.such"))
	if r := awaitResult(t, s, "unknown"); r.GetErrorCode() != "UnknownCapability" {
		t.Fatalf("result: %v", r)
	}
	fakegateway.AwaitMessage(t, s, func(m *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Heartbeat { return m.GetHeartbeat() })
	a.stop()
	return lines.contents()
}

func TestADispatchIsFollowedInTheLogAtDebugOnly(t *testing.T) {
	log := serveOne(t, slog.LevelDebug)
	all, own := debugMessages(t, log, "u")
	checkOrder(t, all, "transport chosen", "dialing a gateway", "TLS handshake finished", "sending hello", "welcome received",
		"offer received", "dispatch started", "sending result", "dispatch settled", "closing the session")
	checkOrder(t, all, "renewal planned")
	checkOrder(t, own, "offer received", "offer journaled", "dispatch started", "sending result", "dispatch settled")
	checkOrder(t, own, "offer journaled", "sending acceptance", "sending result")
	if _, refused := debugMessages(t, log, "unknown"); !strings.Contains(log, `"code":"UnknownCapability"`) {
		t.Errorf("the refusal has no code: %q", refused)
	} else {
		checkOrder(t, refused, "offer received", "offer refused", "sending result")
	}
	if strings.Contains(log, "secret-word") {
		t.Errorf("the log holds an input or an output:\n%s", log)
	}
	log = serveOne(t, slog.LevelInfo)
	if strings.Contains(log, "secret-word") || !strings.Contains(log, "dispatch finished") {
		t.Errorf("the log at info:\n%s", log)
	}
	for _, message := range append(all, own...) {
		if strings.Contains(log, `"msg":"`+message+`"`) {
			t.Errorf("at info %q is logged", message)
		}
	}
}
