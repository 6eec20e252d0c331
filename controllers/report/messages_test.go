package report

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestStalledMessagesNameEachController(t *testing.T) {
	messages, key := &StalledMessages{}, client.ObjectKey{Namespace: "fleet", Name: "box"}
	messages.set(key, "node", "no finalizer")
	if got := messages.set(key, "certificate", "no order"); got != "certificate controller: no order; node controller: no finalizer" {
		t.Errorf("text is %q", got)
	}
	messages.set(key, "node", "")
	if got := messages.set(key, "certificate", ""); got != "" || len(messages.messages) != 0 {
		t.Errorf("text is %q, messages %v", got, messages.messages)
	}
}
