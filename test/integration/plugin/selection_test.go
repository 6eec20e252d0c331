package plugin_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// newRequestWithCode returns a request with a code of its own, which gives the Node labels.
func newRequestWithCode(t *testing.T, ns, name string, given map[string]v1alpha1.NodeLabelValue) *v1alpha1.PairingRequest {
	t.Helper()
	create(t, &v1alpha1.PairingCode{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "code-" + name},
		Spec:       v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, NodeLabels: given},
	})
	return newRequest(t, ns, name, func(s *v1alpha1.PairingRequestSpec) { s.CodeName = "code-" + name })
}

func wantDecided(t *testing.T, want bool, requests ...*v1alpha1.PairingRequest) {
	t.Helper()
	for _, r := range requests {
		if d := decisionOf(t, r); (d != nil) != want {
			t.Errorf("%s: decision is %+v", r.Name, d)
		}
	}
}

func TestRequestsAreChosenByTheLabelsOfTheirCodesOrAllAtOnce(t *testing.T) {
	ns := newFleet(t)
	hall := func(name string) map[string]v1alpha1.NodeLabelValue {
		return map[string]v1alpha1.NodeLabelValue{"hall": v1alpha1.NodeLabelValue(name)}
	}
	one, two, other := newRequestWithCode(t, ns, "one", hall("b")), newRequestWithCode(t, ns, "two", hall("b")), newRequestWithCode(t, ns, "other", hall("a"))
	over := newRequest(t, ns, "over")
	setRequestPhase(t, over, v1alpha1.PairingRequestExpired)

	run(t, ada, ns, "approve").wantExit(2, "err:by name, with --selector or with --all")
	run(t, ada, ns, "approve", "--selector", "hall=b").wantExit(2, "err:add --yes")
	run(t, ada, ns, "approve", "--selector", "hall=c", "--yes").wantExit(0, "err:nothing was changed")
	wantDecided(t, false, one, two, other)

	p := run(t, ada, ns, "approve", "--selector", "hall=b", "--yes", "--capability", "echo", "-o", "json")
	p.wantExit(0, `err:Approved pairing request "one" with echo.`, `err:Approved pairing request "two" with echo.`, "err:Invited by         ida (PIN code code-two)")
	var list v1alpha1.PairingRequestList
	p.decode(&list)
	if len(list.Items) != 2 {
		t.Errorf("printed %d requests", len(list.Items))
	}
	wantDecided(t, true, one, two)
	wantDecided(t, false, other)

	run(t, ada, ns, "approve", "--all", "--yes").wantExit(0, `err:Approved pairing request "other" with echo, system.health.`)
	wantDecided(t, true, other)
	wantDecided(t, false, over)
	run(t, ada, ns, "approve", "--all", "--yes").wantExit(0, "err:No such machine waits")
	run(t, nora, ns, "approve", "--all", "--yes").wantExit(1, "err:ClusterRole mooring-approver")
}

func TestEachChosenRequestIsAskedAboutAtTheTerminal(t *testing.T) {
	ns := newFleet(t)
	first, second := newRequest(t, ns, "a"), newRequest(t, ns, "b")
	p, answer := startAtTerminal(t, ada, ns, "approve", "--all")
	p.waitForStderr("Pairing request a in namespace")
	answer("n")
	p.waitForStderr("Pairing request b in namespace")
	answer("y")
	p.wantExit(1, `err:"a" was not approved`, `err:Approved pairing request "b"`)
	wantDecided(t, false, first)
	wantDecided(t, true, second)
}

func TestAnApproverWhoMayChangeNodesGrantsMore(t *testing.T) {
	ns := newFleet(t)
	node := newNode(t, ns, "press-3", v1alpha1.PresenceOnline)
	run(t, ada, ns, "grant", "press-3", "--capability", "system.*").wantExit(1, "err:ClusterRole mooring-operator", "err:mooring-approver")
	bindRole(t, ns, "patch-nodes", pete, policyRule("mooring.dev", "nodes", "get", "list", "patch"))
	run(t, pete, ns, "grant", "press-3", "--capability", "system.*").wantExit(1, `err:user "pete" may not approve`, "err:ClusterRole mooring-approver")
	bindClusterRole(t, ns, "mooring-operator", ada)
	run(t, ada, ns, "grant", "press-3", "--capability", "system.*,echo", "--capability", "camera.shot").
		wantExit(0, "err:may now be asked for camera.shot, system.*. It does not offer camera.shot, system.* now: it offers echo.")
	run(t, ada, ns, "grant", "press-3", "--capability", "system.health").wantExit(0, "err:nothing was changed")
	run(t, ada, ns, "grant", "typo", "--capability", "echo").wantExit(1, "err:There are: press-3")
	if err := sharedCluster.Client().Get(t.Context(), client.ObjectKeyFromObject(node), node); err != nil {
		t.Fatal(err)
	}
	if got := node.Spec.CapabilityPolicy.Allow; len(got) != 3 || got[0] != "echo" || got[1] != "system.*" || got[2] != "camera.shot" {
		t.Errorf("allowed are %v", got)
	}
}
