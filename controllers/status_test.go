package controllers

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
	"github.com/mooring-dev/mooring/internal/foreign/corpus"
)

// TestEventsAndConditionsAreOneSafeLine passes hostile text to each writer of events and
// conditions. Webhooks, issuers and machines can put such text into an error.
func TestEventsAndConditionsAreOneSafeLine(t *testing.T) {
	now := time.Now()
	node := trustedNode()
	for name, text := range corpus.Texts {
		check := func(what, shown string, limit int) {
			t.Helper()
			if problem := corpus.FindProblem(shown); problem != "" || strings.ContainsAny(shown, "\n\t") || len(shown) > limit {
				t.Errorf("%s, %s of %d bytes: %s in %.300q", name, what, len(shown), problem, shown)
			}
		}
		recorder := events.NewFakeRecorder(8)
		emitEvent(recorder, node, corev1.EventTypeWarning, v1alpha1.ReasonWriteRefused, text)
		check("an event", <-recorder.Events, maxNoteBytes+200)
		failing := failureEvents{recorder: recorder, find: func(context.Context, client.ObjectKey) client.Object { return node }}
		if err := failing.report(context.Background(), client.ObjectKeyFromObject(node), errors.New(text)); err != nil {
			t.Fatal(err)
		}
		check("an event of a failed reconcile", <-recorder.Events, maxNoteBytes+200)

		var conditions []metav1.Condition
		setCondition(&conditions, metav1.Condition{Type: "A", Message: text}, now)
		setOrRemoveCondition(&conditions, metav1.Condition{Type: "B", Message: "stalled: " + text}, now)
		for _, condition := range conditions {
			check("a condition", condition.Message, maxConditionBytes)
		}
		check("the text of Stalled", (&stalledMessages{}).set(client.ObjectKeyFromObject(node), "node", text), maxStalledBytes)
		check("the error of a certificate", statusWithError(withRequest(node), errors.New(text)).Issued.Error, maxErrorText)
	}
}

func withRequest(node *v1alpha1.Node) *v1alpha1.Node {
	node = node.DeepCopy()
	node.Status.CertificateRequest = &v1alpha1.NodeCertificateRequest{}
	return node
}
