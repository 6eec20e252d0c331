//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// idleMiB is what the agent may take in memory while nobody asks it.
const idleMiB = 25

// member is the Node of the agent in the pod: the prefix of its rule, and the worker's name without
// its dot.
var member = "k8s-" + strings.ReplaceAll(workerName, ".", "-")

// agentsNamespace is where the agents run that come with an install.
const agentsNamespace = "mooring-agents"

// identities is where their hosts keep who they are.
const identities = "/var/lib/mooring-agent-pod"

// daemonSet uses the agent that came with the install, to which nothing was given by hand, and
// replaces its pod, which keeps the identity.
func (in *install) daemonSet() {
	in.kubectl("-n", agentsNamespace, "rollout", "status", "daemonset/mooring-agent", "--timeout=2m")
	node := in.Online(member)
	in.Works(member)
	if d := in.Ended(in.Ask(member, "system.health", map[string]any{})); d.Status.Phase != v1alpha1.DispatchSucceeded {
		in.Errorf("system.health ended %+v", d.Status)
	}
	in.idle()
	before := in.agentPod()
	in.kubectl("-n", agentsNamespace, "delete", "pod", before.Name)
	in.kubectl("-n", agentsNamespace, "rollout", "status", "daemonset/mooring-agent", "--timeout=2m")
	if after := in.agentPod(); after.UID == before.UID {
		in.Fatal("the pod was not replaced")
	}
	in.eventually("a session of the new pod", func() bool {
		now := in.Node(member)
		return now.Status.Presence == v1alpha1.PresenceOnline && now.Status.SessionID != node.Status.SessionID
	})
	in.Works(member)
	if now := in.Node(member); now.UID != node.UID || now.Spec.PublicKeySHA256 != node.Spec.PublicKeySHA256 {
		in.Errorf("the new pod has another identity: %s %s, before %s %s", now.UID, now.Spec.PublicKeySHA256, node.UID, node.Spec.PublicKeySHA256)
	}
}

func (in *install) agentPod() *corev1.Pod {
	in.Helper()
	var found *corev1.Pod
	in.eventually("one running pod of the agent", func() bool {
		var pods corev1.PodList
		if err := in.System.Client.List(in.Context(), &pods, client.InNamespace(agentsNamespace)); err != nil || len(pods.Items) != 1 {
			return false
		}
		found = &pods.Items[0]
		return found.Status.Phase == corev1.PodRunning && found.DeletionTimestamp == nil
	})
	return found
}

// idle measures the agent in its pod: resident memory of its process, as the kernel counts it.
func (in *install) idle() {
	in.Helper()
	statuses, _ := filepath.Glob("/proc/[0-9]*/status")
	seen := 0
	for _, path := range statuses {
		text, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(text), "Name:\tmooring-agent\n") {
			continue
		}
		if command, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline")); !strings.Contains(string(command), "\x00run\x00") {
			continue // the kubelet asks it whether it is connected
		}
		seen++
		_, rest, _ := strings.Cut(string(text), "VmRSS:")
		var kib int
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			in.Fatal(err)
		}
		in.Logf("the agent in the pod takes %.1f MiB", float64(kib)/1024)
		if kib > idleMiB*1024 {
			in.Errorf("that is more than %d MiB", idleMiB)
		}
	}
	if seen != 1 {
		in.Errorf("%d agents run, want one", seen)
	}
}

// forget removes what the uninstalled agent left on its host, or the next install would find the
// identity of a machine that no longer exists.
func (in *install) forget() {
	in.Helper()
	if _, err := os.Stat(identities); err != nil {
		in.Errorf("the host does not keep the identity: %v", err)
	}
	if err := os.RemoveAll(identities); err != nil {
		in.Fatal(err)
	}
}
