//go:build e2e

package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/test/stack"
)

func TestPod(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "pause"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "pause", Image: "localhost/pause:e2e", ImagePullPolicy: corev1.PullNever}}}}
	ctx, cancel := contextFor(t)
	defer cancel()
	if err := stack.Poll(ctx, func() bool { return machine.cluster.Client().Create(ctx, pod) == nil }); err != nil {
		t.Fatal(err)
	}
	got, err := stack.WaitObject(ctx, machine.cluster.Client(), client.ObjectKeyFromObject(pod), &corev1.Pod{}, "Running", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning })
	if err != nil {
		t.Fatal(err)
	}
	t.Log(got.Status.PodIP)
}
