package plugin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestOnlyWhatIsNotAllowedYetIsAdded(t *testing.T) {
	n := onlineNode("press-3") // allows echo and camera.*
	got, err := findMissingGrants(n, []string{"echo", "camera.shot", "camera.*", "system.health", "system.*", "system.health", "cameras.list"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"system.health", "system.*", "cameras.list"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAGrantThatADenialDefeatsIsAnError(t *testing.T) {
	n := onlineNode("press-3", func(n *v1alpha1.Node) { n.Spec.CapabilityPolicy.Deny = []string{"system.*"} })
	_, err := findMissingGrants(n, []string{"system.health"})
	if err == nil || !strings.Contains(err.Error(), `denied "system.*"`) || !strings.Contains(err.Error(), "kubectl edit mnode press-3 -n workshop") {
		t.Errorf("got %v", err)
	}
}

func TestAGrantOfWhatTheMachineDoesNotOfferSaysSo(t *testing.T) {
	n := onlineNode("press-3") // offers camera.shot, echo, system.health
	for want, added := range map[string][]string{
		"": {"system.*", "echo"},
		" It does not offer disk.*, shell now: it offers camera.shot, echo, system.health.": {"shell", "disk.*", "echo"},
	} {
		if got := unofferedMessage(n, added); got != want {
			t.Errorf("%v: got %q, want %q", added, got, want)
		}
	}
}
