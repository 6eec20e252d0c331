package report

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/internal/foreign/corpus"
)

// TestEventsAndConditionsAreOneSafeLine passes hostile text to each writer of events and
// conditions. Webhooks, issuers and machines can put such text into an error.
func TestEventsAndConditionsAreOneSafeLine(t *testing.T) {
	node := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "box"}}
	for name, text := range corpus.Texts {
		check := func(what, shown string, limit int) {
			t.Helper()
			if problem := corpus.FindProblem(shown); problem != "" || strings.ContainsAny(shown, "\n\t") || len(shown) > limit {
				t.Errorf("%s, %s of %d bytes: %s in %.300q", name, what, len(shown), problem, shown)
			}
		}
		recorder := events.NewFakeRecorder(8)
		Emit(recorder, node, corev1.EventTypeWarning, v1alpha1.ReasonWriteRefused, "Reconcile", text)
		check("an event", <-recorder.Events, maxNoteBytes+200)
		failing := FailureEvents{recorder: recorder, find: func(context.Context, client.ObjectKey) client.Object { return node }}
		if err := failing.Report(t.Context(), client.ObjectKeyFromObject(node), errors.New(text)); err != nil {
			t.Fatal(err)
		}
		check("an event of a failed reconcile", <-recorder.Events, maxNoteBytes+200)

		var conditions []metav1.Condition
		status.SetCondition(&conditions, metav1.Condition{Type: "A", Message: text}, time.Now())
		setOrRemoveCondition(&conditions, metav1.Condition{Type: "B", Message: "stalled: " + text}, time.Now())
		for _, condition := range conditions {
			check("a condition", condition.Message, 32768) // the most that the API server accepts
		}
		check("the text of Stalled", (&StalledMessages{}).set(client.ObjectKeyFromObject(node), "node", text), maxStalledBytes)
	}
}
