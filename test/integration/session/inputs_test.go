package session_test

import (
	"strings"
	"testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// TestAnInputThatDoesNotFitIsNotOffered checks that the gateway rejects an invalid input in one
// write, without an offer. An invalid schema rejects no input.
func TestAnInputThatDoesNotFitIsNotOffered(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	m.customDescription = m.description()
	m.customDescription.Capabilities = []*gatewayv1.Capability{
		{Name: "echo", Available: true, InputSchema: []byte(`{"type":"object","required":["text"],"properties":{"text":{"type":"string"}}}`)},
		{Name: "sleep", Available: true, InputSchema: []byte(`{"type":"object","required":["text"],"properties":{"text":{"pattern":"("}}}`)},
	}
	a := m.connect(t, r)
	m.waitPastSessionStart(t)
	before := r.api.writes.Load()
	d := m.createDispatch(t, nil)
	m.wantPhase(t, d, v1alpha1.DispatchRejected)
	s := d.Status
	if s.Execution != v1alpha1.ExecutionNotStarted || s.Error == nil || s.Error.Code != v1alpha1.ErrorInvalidInput || !strings.Contains(s.Error.Message, "missing property 'text'") {
		t.Errorf("status is %+v, want NotStarted with InvalidInput", s)
	}
	if writes := r.api.writes.Load() - before; writes != 1 {
		t.Errorf("the gateway wrote %d times to refuse the dispatch, want once", writes)
	}
	a.RequireNoMessage()
	fits := m.createDispatch(t, func(d *v1alpha1.CapabilityDispatch) { d.Spec.Input = &v1alpha1.JSON{Raw: []byte(`{"text":"x"}`)} })
	if got := a.nextOffer().GetDispatch().GetUid(); got != string(fits.UID) {
		t.Errorf("offered %s, want the dispatch with a valid input", got)
	}
	unclear := m.createDispatch(t, func(d *v1alpha1.CapabilityDispatch) { d.Spec.Capability = "sleep" })
	if got := a.nextOffer().GetDispatch().GetUid(); got != string(unclear.UID) {
		t.Errorf("offered %s, want the dispatch whose schema is invalid: its machine decides", got)
	}
	// A later description of the machine applies to later dispatches.
	a.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_CapabilitiesChanged{
		CapabilitiesChanged: &gatewayv1.CapabilitiesChanged{Capabilities: []*gatewayv1.Capability{{Name: "echo", Available: true}}}}})
	a.waitHandled()
	m.createDispatch(t, nil)
	a.nextOffer()
}
