package session

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// describedNode returns a new copy of a Node with a description.
func describedNode() *v1alpha1.Node {
	return &v1alpha1.Node{
		ObjectMeta: metav1.ObjectMeta{Namespace: pcKey.Namespace, Name: pcKey.Name, ResourceVersion: "7"},
		Status: v1alpha1.NodeStatus{
			System:       &v1alpha1.SystemInfo{OS: "linux"},
			Capabilities: []v1alpha1.NodeCapability{{Name: "echo", InputSchema: &v1alpha1.JSON{Raw: []byte(`{"type":"object"}`)}, Available: true}},
		},
	}
}

func TestASessionKeepsNoCopyOfItsCachedNode(t *testing.T) {
	s := newBlockedSession(clocktesting.NewFakeClock(noon.Time))
	cached := describedNode()
	s.node = describedNode() // the result of an own write
	described := describedNode().Status
	s.facts.Declared, s.facts.System = described.Capabilities, described.System
	s.applyNode(t.Context(), cached, false)
	if s.node != cached {
		t.Error("the session keeps the response to its own write in addition to the cached Node")
	}
	if s.facts.System != cached.Status.System || &s.facts.Declared[0] != &cached.Status.Capabilities[0] {
		t.Error("the session keeps a second description of its machine")
	}
	older := describedNode()
	older.ResourceVersion = "6"
	if s.applyNode(t.Context(), older, false); s.node != cached {
		t.Error("the session applied an older Node")
	}
}
