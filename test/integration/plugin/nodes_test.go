package plugin_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// newNode returns a Node as the controller creates it and a gateway reports it.
func newNode(t *testing.T, ns, name string, presence v1alpha1.NodePresence) *v1alpha1.Node {
	t.Helper()
	n := &v1alpha1.Node{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: v1alpha1.NodeSpec{PublicKeySHA256: fingerprint, PairingRequestUID: "uid",
			CapabilityPolicy: v1alpha1.CapabilityPolicy{Allow: []string{"echo"}}},
	}
	create(t, n)
	n.Status = v1alpha1.NodeStatus{
		Presence: presence, Trust: v1alpha1.TrustTrusted, CapabilitySummary: "1/1", System: &v1alpha1.SystemInfo{Platform: "linux/amd64"},
		Capabilities: []v1alpha1.NodeCapability{{Name: "echo", Available: true, Description: "returns its input"}},
	}
	if err := sharedCluster.Client().Status().Update(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNodesAreListedDescribedAndExplained(t *testing.T) {
	ns := newFleet(t)
	run(t, ivan, ns, "nodes").wantExit(0, "err:No machine is paired")
	newNode(t, ns, "press-3", v1alpha1.PresenceOnline)
	newNode(t, ns, "lathe-1", v1alpha1.PresenceOffline)
	run(t, ivan, ns, "nodes").wantExit(0, "NAME      PRESENCE   TRUST     PLATFORM      CAPABILITIES   SINCE   AGE\nlathe-1   Offline    Trusted   linux/amd64   1/1            -       ",
		"\npress-3   Online     Trusted   linux/amd64")
	run(t, ivan, ns, "nodes", "press-3").wantExit(0, "Presence:      Online", "Fingerprint:   "+fingerprint, "echo         yes      no            returns its input")
	run(t, ivan, ns, "nodes", "press-3", "-o", "yaml").wantExit(0, "kind: Node\n", "presence: Online")
	run(t, ivan, ns, "nodes", "typo").wantExit(1, `err:no node "typo" in namespace "`+ns+`". There are: lathe-1, press-3`)
	run(t, nora, ns, "nodes").wantExit(1, `err:User "nora" cannot list resource "nodes"`, "err:ClusterRole mooring-viewer")
}

func TestNamesAreCompletedFromTheCluster(t *testing.T) {
	ns := newFleet(t)
	newNode(t, ns, "press-3", v1alpha1.PresenceOnline)
	newRequest(t, ns, "waits")
	// The flags come first, because the last argument is the word to complete.
	complete := func(user string, args ...string) *process {
		p := startWith(t, kubeconfig(t, user), nil, append([]string{"__completeNoDesc", "-n", ns}, args...)...)
		<-p.ended
		return p
	}
	complete(ivan, "nodes", "").wantExit(0, "press-3\n:4\n")
	complete(ivan, "invoke", "").wantExit(0, "press-3\n:4\n")
	complete(ivan, "invoke", "press-3", "").wantExit(0, "echo\n:4\n")
	complete(ada, "approve", "").wantExit(0, "waits\n:4\n")
	complete(nora, "nodes", "").wantExit(0, ":4\n")
}

func TestCanIFollowsTheRoleOfTheFleet(t *testing.T) {
	ns := newFleet(t)
	run(t, ivan, ns, "can-i", "invoke", "echo").wantExit(0, "yes\n")
	run(t, ivan, ns, "can-i", "invoke", "system.disk.usage").wantExit(0, "yes\n")
	run(t, ivan, ns, "can-i", "invoke", "echo.loud").wantExit(1, "no\n", `err:resourceNames ["echo.loud" "echo.*"]`)
	run(t, ivan, sharedCluster.Namespace(t), "can-i", "invoke", "echo").wantExit(1, "no\n")
	p := run(t, nora, ns, "can-i", "invoke", "echo", "-o", "json")
	p.wantExit(1)
	var got struct {
		Allowed    *bool
		Capability string
	}
	p.decode(&got)
	if got.Allowed == nil || *got.Allowed || got.Capability != "echo" {
		t.Errorf("got %s", p.out.String())
	}
}
