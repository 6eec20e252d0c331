//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/cluster"
)

// checkRights compares the rights of the accounts with the golden file of the integration tests.
func (in *install) checkRights() {
	text, err := os.ReadFile(in.goldenPath("threats", "testdata", "rights.golden"))
	if err != nil {
		in.Fatal(err)
	}
	in.kubectl("create", "namespace", "fleet-rights")
	defer in.kubectl("delete", "namespace", "fleet-rights")
	var got []string
	for _, account := range []string{v1alpha1.ControllerServiceAccount, v1alpha1.GatewayServiceAccount, v1alpha1.ProbeServiceAccount} {
		for title, namespace := range map[string]string{
			v1alpha1.SystemNamespace: v1alpha1.SystemNamespace, v1alpha1.PairingNamespace: v1alpha1.PairingNamespace, "a fleet": "fleet-rights",
		} {
			lines, err := cluster.Of(in.System.Cluster).ListRights(in.Context(), account, namespace, account+" in "+title)
			if err != nil {
				in.Fatal(err)
			}
			got = append(got, lines...)
		}
	}
	want := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(text)), "\n"), func(line string) bool {
		return strings.HasPrefix(line, "ClusterRole ")
	})
	slices.Sort(got)
	if diff := cmp.Diff(want, slices.Compact(got)); diff != "" || len(want) == 0 {
		in.Errorf("rights of the install (-want +got):\n%s", diff)
	}
}

// checkRestricted tries to create a pod that is not restricted in the namespace of the installation.
func (in *install) checkRestricted() {
	yes := true
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "privileged"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "pause", Image: "localhost/pause:e2e", SecurityContext: &corev1.SecurityContext{Privileged: &yes}}}}}
	err := in.System.Client.Create(in.Context(), pod, client.DryRunAll)
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `violates PodSecurity "restricted`) {
		in.Errorf("a privileged pod: %v", err)
	}
	var pods corev1.PodList
	if err := in.System.Client.List(in.Context(), &pods, client.InNamespace(v1alpha1.SystemNamespace)); err != nil || len(pods.Items) < 4 {
		in.Errorf("%d pods run there, %v", len(pods.Items), err)
	}
}

// pairLaptop pairs a machine outside the cluster; the machine receives nothing but the content of a QR
// code.
func (in *install) pairLaptop() {
	in.netns("laptop", "10.250.0.2")
	out, err := in.System.Run(in.BoundedContext(), stack.Admin, "kubectl", "mooring", "code", "--method", "QR", "-n", in.Namespace, "--name", "laptop", "-o", "json")
	if err != nil {
		in.Fatal(err)
	}
	var made struct{ Name, URI string }
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		in.Fatal(err)
	}
	file := filepath.Join(in.TempDir(), "uri")
	if err := os.WriteFile(file, []byte(made.URI+"\n"), 0o600); err != nil {
		in.Fatal(err)
	}
	agent, err := in.System.StartAgentIn("laptop", "laptop", "", "--pair", "@"+file)
	if err != nil {
		in.Fatal(err)
	}
	in.Cleanup(agent.Stop)
	request := in.AwaitRequest(made.Name)
	if err := agent.WaitFor(in.BoundedContext(), "Verification code: "+request.Spec.VerificationCode); err != nil {
		in.Error(err)
	}
	in.kubectl("mooring", "approve", request.Name, "--yes", "-n", in.Namespace)
	in.AwaitConnected("laptop")
	in.CheckEcho("laptop")
}
