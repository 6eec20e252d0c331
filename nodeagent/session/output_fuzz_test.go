package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/jsontext"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/transport"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// printer returns the text in next as its output, like a program with output text or json.
type printer struct {
	json bool
	next []byte
}

func (p *printer) Name() string {
	if p.json {
		return "printer.json"
	}
	return "printer.text"
}
func (p *printer) Description() string             { return "prints" }
func (p *printer) Schema() json.RawMessage         { return nil }
func (p *printer) Mediation() capability.Mediation { return capability.MediationNone }
func (p *printer) Run(context.Context, capability.Request) (json.RawMessage, error) {
	if p.json {
		return bytes.TrimSpace(p.next), nil
	}
	return jsontext.Marshal(string(p.next))
}

// FuzzAnyOutputEndsItsDispatch verifies that a dispatch gets a result that a gateway accepts,
// whatever its program prints, and that the session continues. It uses a real connection and a real
// journal.
func FuzzAnyOutputEndsItsDispatch(f *testing.F) {
	for _, output := range []string{
		"", "null", "{}", `"`, "\x00", "\xff\xfe", "\xef\xbb\xbf{}", `{"a":1}{"a":2}`, "[1,2,]", `"\ud800"`, `{"a":1,"a":2}`,
		`1e999`, `18446744073709551615`, strings.Repeat("[", 20_000), strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
		`{"r":"` + strings.Repeat("<&>", 84_000) + `"}`, `"` + strings.Repeat("\u2028", 80_000) + `"`, strings.Repeat("\x01", 250_000),
		strings.Repeat("<", 300_000), `{"` + strings.Repeat("&", 262_000) + `":0}`, strings.Repeat("é", 131_073), strings.Repeat("\n", 262_144),
	} {
		for _, limit := range []uint32{1, 120, 65_536, 262_144} {
			f.Add([]byte(output), limit)
		}
	}
	text, object := &printer{}, &printer{json: true}
	g := fakegateway.Start(f)
	a := &agent{transport: transport.Stream, extraCapabilities: []capability.Capability{text, object}}
	a.start(f, g, time.Hour)
	s := g.Node.NextSession(f)
	runs := 0
	f.Fuzz(func(t *testing.T, output []byte, limit uint32) {
		limit = limit%262_144 + 1
		for _, p := range []*printer{text, object} {
			runs++
			uid := fmt.Sprint("run-", runs)
			p.next = output
			o := offer(uid, p.Name())
			o.GetOffer().MaxPayloadBytes = limit
			s.Send(t, o)
			r := awaitResult(t, s, uid)
			s.Send(t, settled(uid))
			switch r.GetOutcome() {
			case gatewayv1.Result_OUTCOME_SUCCEEDED:
				if len(r.GetOutput()) > max(int(limit), 2) || (len(r.GetOutput()) > 0 && !json.Valid(r.GetOutput())) {
					t.Errorf("%s: %d bytes of %d, %.60q", p.Name(), len(r.GetOutput()), limit, r.GetOutput())
				}
			case gatewayv1.Result_OUTCOME_FAILED:
				if r.GetErrorCode() != "InvalidOutput" || !p.json {
					t.Errorf("%s: %s %s", p.Name(), r.GetErrorCode(), r.GetErrorMessage())
				}
			default:
				t.Errorf("%s: %v", p.Name(), r.GetOutcome())
			}
			if size := proto.Size(r); size > 320<<10 {
				t.Errorf("%s: the result has %d bytes", p.Name(), size)
			}
		}
		select {
		case again := <-g.Node.Sessions:
			t.Fatalf("the session was lost; the next Hello is %v", again.Hello)
		default:
		}
	})
}
