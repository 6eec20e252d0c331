package pairingrequest

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/status"
)

// statusStore is a client that counts the writes of statuses.
type statusStore struct {
	client.Client
	writer statusWriter
}

func (s *statusStore) Status() client.SubResourceWriter { return &s.writer }

type statusWriter struct {
	client.SubResourceWriter
	writes int
}

func (w *statusWriter) Update(context.Context, client.Object, ...client.SubResourceUpdateOption) error {
	w.writes++
	return nil
}

func TestAStatusIsWrittenOnceAndOnlyIfItChanged(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*reconciler, *scope)
		writes int
		event  string
	}{
		"nothing changed": {func(*reconciler, *scope) {}, 0, ""},
		"the condition is the stored one": {func(r *reconciler, s *scope) {
			r.announce(s, v1alpha1.ConditionApproved, metav1.ConditionUnknown, "CheckRequest", status.NewReason("Waiting", "as before"))
		}, 0, ""},
		"without an event": {func(_ *reconciler, s *scope) { s.request.Status.PolicyEpoch = "next" }, 1, ""},
		"the condition changed": {func(r *reconciler, s *scope) {
			r.announce(s, v1alpha1.ConditionApproved, metav1.ConditionTrue, "ApproveRequest", status.NewReason("Approved", "by ada"))
		}, 1, "Normal Approved by ada"},
		"two conditions changed": {func(r *reconciler, s *scope) {
			r.finish(s, v1alpha1.PairingRequestFailed, status.NewReason("NameTaken", "Node \"box\" exists"))
		}, 1, "Warning NameTaken Node \"box\" exists"},
	} {
		t.Run(name, func(t *testing.T) {
			store, recorder := &statusStore{}, events.NewFakeRecorder(8)
			r := &reconciler{client: store, clock: testingclock.NewFakeClock(start), events: recorder}
			request := &v1alpha1.PairingRequest{}
			r.setCondition(&scope{request: request}, v1alpha1.ConditionApproved, metav1.ConditionUnknown, status.NewReason("Waiting", "as before"))
			s := newScope(request)
			test.change(r, s)
			if err := r.writeStatus(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			close(recorder.Events)
			if event := <-recorder.Events; store.writer.writes != test.writes || event != test.event {
				t.Errorf("%d writes, event %q, want %d, %q", store.writer.writes, event, test.writes, test.event)
			}
		})
	}
}
