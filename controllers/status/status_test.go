package status

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/internal/foreign/corpus"
)

// Webhooks, issuers and machines can put hostile text into an error.
func TestAConditionIsOneSafeLine(t *testing.T) {
	for name, text := range corpus.Texts {
		var conditions []metav1.Condition
		SetCondition(&conditions, metav1.Condition{Type: "A", Message: text}, time.Now())
		message := conditions[0].Message
		if problem := corpus.FindProblem(message); problem != "" || strings.ContainsAny(message, "\n\t") || len(message) > maxConditionBytes {
			t.Errorf("%s, %d bytes: %s in %.300q", name, len(message), problem, message)
		}
	}
}
