//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/stack"
)

// idleMiB is what the agent may take in memory while nobody asks it.
const idleMiB = 25

// member is the Node of the agent in the pod: the worker's name without its dot.
var member = strings.ReplaceAll(workerName, ".", "-")

// daemonSet lets the agents in that run as pods, and keeps their identity over a new pod.
func (in *install) daemonSet() {
	in.kubectl("create", "namespace", "machines", "--save-config")
	in.copyTrust("machines")
	in.kubectl("apply", "-f", agents)
	node := in.Online(member)
	in.Works(member)
	if d := in.Ended(in.Ask(member, "system.health", map[string]any{})); d.Status.Phase != v1alpha1.DispatchSucceeded {
		in.Errorf("system.health ended %+v", d.Status)
	}
	in.idle()
	before := in.agentPod()
	in.kubectl("-n", "machines", "delete", "pod", before.Name)
	in.kubectl("-n", "machines", "rollout", "status", "daemonset/agent", "--timeout=2m")
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
		if err := in.System.Client.List(in.Context(), &pods, client.InNamespace("machines")); err != nil || len(pods.Items) != 1 {
			return false
		}
		found = &pods.Items[0]
		return found.Status.Phase == corev1.PodRunning && found.DeletionTimestamp == nil
	})
	return found
}

// copyTrust does step 2 of the how-to: the CA of the gateways in the namespace of the pods.
func (in *install) copyTrust(namespace string) {
	in.Helper()
	trust, err := stack.WaitObject(in.Within(), in.System.Client, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.TrustConfigMap},
		&corev1.ConfigMap{}, "filled", func(m *corev1.ConfigMap) bool { return m.Data[v1alpha1.TrustServerCAKey] != "" })
	if err != nil {
		in.Fatal(err)
	}
	own := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.TrustConfigMap},
		Data: map[string]string{v1alpha1.TrustServerCAKey: trust.Data[v1alpha1.TrustServerCAKey]}}
	if err := in.System.Client.Create(in.Context(), own); err != nil {
		in.Fatal(err)
	}
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
