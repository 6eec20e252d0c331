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

// idleMiB is the memory budget of an agent without dispatches.
const idleMiB = 25

// agentNode is the name of the Node of the agent in the pod: the prefix of its rule and the worker's
// name without the dot.
var agentNode = "k8s-" + strings.ReplaceAll(workerName, ".", "-")

// agentsNamespace is the namespace of the agents that are part of an installation.
const agentsNamespace = "mooring-agents"

// identities is the directory on a host that contains its agent's identity.
const identities = "/var/lib/mooring-agent-pod"

// checkDaemonSet uses the agent of the installation, which was configured without manual steps. It
// replaces the agent's pod, and the new pod has the same identity.
func (in *install) checkDaemonSet() {
	in.kubectl("-n", agentsNamespace, "rollout", "status", "daemonset/mooring-agent", "--timeout=2m")
	node := in.AwaitOnline(agentNode)
	in.CheckEcho(agentNode)
	if d := in.AwaitEnded(in.CreateDispatch(agentNode, "system.health", map[string]any{})); d.Status.Phase != v1alpha1.DispatchSucceeded {
		in.Errorf("system.health ended %+v", d.Status)
	}
	in.measureIdleAgent()
	before := in.agentPod()
	in.kubectl("-n", agentsNamespace, "delete", "pod", before.Name)
	in.kubectl("-n", agentsNamespace, "rollout", "status", "daemonset/mooring-agent", "--timeout=2m")
	if after := in.agentPod(); after.UID == before.UID {
		in.Fatal("the pod was not replaced")
	}
	in.eventually("a session of the new pod", func() bool {
		now := in.GetNode(agentNode)
		return now.Status.Presence == v1alpha1.PresenceOnline && now.Status.SessionID != node.Status.SessionID
	})
	in.CheckEcho(agentNode)
	if now := in.GetNode(agentNode); now.UID != node.UID || now.Spec.PublicKeySHA256 != node.Spec.PublicKeySHA256 {
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

// measureIdleAgent measures the resident memory of the agent's process in its pod.
func (in *install) measureIdleAgent() {
	in.Helper()
	statuses, _ := filepath.Glob("/proc/[0-9]*/status")
	seen := 0
	for _, path := range statuses {
		text, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(text), "Name:\tmooring-agent\n") {
			continue
		}
		if command, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline")); !strings.Contains(string(command), "\x00run\x00") {
			continue // a probe of the kubelet
		}
		seen++
		_, rest, _ := strings.Cut(string(text), "VmRSS:")
		var kib int
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			in.Fatal(err)
		}
		in.Logf("the agent in the pod takes %.1f MiB", float64(kib)/1024)
		if kib > idleMiB*1024 {
			in.Errorf("the agent takes more than %d MiB", idleMiB)
		}
	}
	if seen != 1 {
		in.Errorf("%d agents run, want one", seen)
	}
}

// removeIdentities removes the files of the uninstalled agent on its host. Otherwise the next installation
// would find the identity of a machine that no longer exists.
func (in *install) removeIdentities() {
	in.Helper()
	if _, err := os.Stat(identities); err != nil {
		in.Errorf("the host does not keep the identity: %v", err)
	}
	if err := os.RemoveAll(identities); err != nil {
		in.Fatal(err)
	}
}
