package stack_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/test/cluster"
	"github.com/mooring-dev/mooring/test/fakegateway"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// workload is a pod on a core Node that exists only in the API; a token needs no more.
type workload struct {
	*fleet
	account *corev1.ServiceAccount
	node    *corev1.Node
	pod     *corev1.Pod
}

func newWorkload(f *fleet) *workload {
	f.Helper()
	w := &workload{
		fleet:   f,
		account: &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: "agent"}},
		node:    &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-" + rand.String(6) + ".test"}},
	}
	w.pod = &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: "agent"},
		Spec: corev1.PodSpec{ServiceAccountName: "agent", NodeName: w.node.Name,
			Containers: []corev1.Container{{Name: "agent", Image: "agent"}}},
	}
	w.createObjects(w.account, w.node, w.pod)
	return w
}

func (w *workload) createObjects(objects ...client.Object) {
	w.Helper()
	for _, object := range objects {
		object.SetResourceVersion("")
		object.SetUID("")
		if err := system.Client.Create(w.Context(), object); err != nil {
			w.Fatalf("create %T: %v", object, err)
		}
		w.Cleanup(func() { w.deleteObject(object) })
	}
}

// deleteObject deletes an object without a grace period: there is no kubelet that would confirm it.
func (w *workload) deleteObject(object client.Object) {
	_ = system.Client.Delete(context.WithoutCancel(w.Context()), object, client.GracePeriodSeconds(0))
}

// nodeName returns the name of the Mooring Node.
func (w *workload) nodeName() string { return strings.ReplaceAll(w.node.Name, ".", "-") }

// token returns a real token, as a kubelet requests it; it is bound to the pod unless bound is nil.
func (w *workload) token(audience string, bound *authenticationv1.BoundObjectReference) string {
	w.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}, BoundObjectRef: bound}}
	if err := system.Client.SubResource("token").Create(w.Context(), w.account, request); err != nil {
		w.Fatalf("ask for a token: %v", err)
	}
	return request.Status.Token
}

func (w *workload) podReference() *authenticationv1.BoundObjectReference {
	return &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: w.pod.Name, UID: w.pod.UID}
}

// setRule admits the account to a fleet.
func (w *workload) setRule(text string) {
	w.Helper()
	key := w.Namespace + "." + w.account.Name
	rules := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.ServiceAccountRulesConfigMap}}
	if err := system.Client.Create(w.Context(), rules); err != nil && !apierrors.IsAlreadyExists(err) {
		w.Fatal(err)
	}
	if err := system.Client.Get(w.Context(), client.ObjectKeyFromObject(rules), rules); err != nil {
		w.Fatal(err)
	}
	before := rules.DeepCopy()
	if rules.Data == nil {
		rules.Data = map[string]string{}
	}
	rules.Data[key] = text
	if err := system.Client.Patch(w.Context(), rules, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}

// startAgent runs an agent with the files that are mounted into its pod.
func (w *workload) startAgent(token, ca string) *stack.Process {
	w.Helper()
	dir := w.TempDir()
	for name, content := range map[string]string{"token": token, "ca.crt": ca} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			w.Fatal(err)
		}
	}
	return w.StartAgent(rand.String(6), "--service-account-token-file", filepath.Join(dir, "token"), "--gateway-ca", filepath.Join(dir, "ca.crt"))
}

func (w *workload) serverCA() string {
	w.Helper()
	key := client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.TrustConfigMap}
	trust, err := stack.WaitObject(w.BoundedContext(), system.Client, key, &corev1.ConfigMap{}, "filled", func(m *corev1.ConfigMap) bool {
		return m.Data[v1alpha1.TrustServerCAKey] != ""
	})
	if err != nil {
		w.Fatal(err)
	}
	return trust.Data[v1alpha1.TrustServerCAKey]
}

func TestAnAgentInThePodPairsByItsServiceAccount(t *testing.T) {
	t.Parallel()
	w := newWorkload(newFleet(t))
	w.setRule("fleet: " + w.Namespace + "\ncapabilities: [echo]\n")
	token := w.token("mooring", w.podReference())
	agent := w.startAgent(token, w.serverCA())
	if err := agent.WaitFor(w.BoundedContext(), "Session open with gateway"); err != nil {
		t.Fatalf("%v\n%s", err, agent.Tail(10))
	}
	node := w.AwaitOnline(w.nodeName())
	if got := node.Spec.CapabilityPolicy.Allow; len(got) != 1 || got[0] != "echo" {
		t.Errorf("the rule grants echo, the Node may %v", got)
	}
	var requests v1alpha1.PairingRequestList
	if err := system.Client.List(t.Context(), &requests, client.InNamespace(w.Namespace)); err != nil || len(requests.Items) != 1 {
		t.Fatalf("%d requests, %v", len(requests.Items), err)
	}
	request := &requests.Items[0]
	want := v1alpha1.ServiceAccountIdentity{Namespace: w.Namespace, Name: "agent", Node: w.node.Name, NodeUID: string(w.node.UID)}
	if request.Spec.Method != v1alpha1.PairingMethodServiceAccount || *request.Spec.ServiceAccount != want {
		t.Errorf("the request does not name its ServiceAccount and node: %+v", request.Spec)
	}
	if d := request.Spec.Decision; d == nil || !strings.HasSuffix(d.By, ":mooring-controller") || !strings.Contains(d.Reason, "rule "+w.Namespace+".agent") {
		t.Errorf("the decision does not name its rule: %+v", d)
	}
	w.Eventually("the token is deleted", func() bool {
		key := client.ObjectKey{Namespace: v1alpha1.PairingNamespace, Name: v1alpha1.TokenSecretName(request.Namespace, request.Name)}
		return apierrors.IsNotFound(system.Client.Get(t.Context(), key, &corev1.Secret{}))
	})
	if strings.Contains(agent.Output(), token) {
		t.Error("the agent prints its token")
	}
	// A second installation on the same core Node has another key and does not get the name.
	expectExit(w.fleet, w.startAgent(w.token("mooring", w.podReference()), w.serverCA()), "belongs to another key")
}

func TestATokenThatDoesNotFitIsRefusedInWords(t *testing.T) {
	t.Parallel()
	w := newWorkload(newFleet(t))
	foreign := w.token("mooring", w.podReference())
	expectExit(w.fleet, w.startAgent(foreign, w.serverCA()), "no rule admits ServiceAccount "+w.Namespace+"/agent")
	w.setRule("fleet: " + w.Namespace + "\n")
	expectExit(w.fleet, w.startAgent(w.token("https://kubernetes.default.svc", w.podReference()), w.serverCA()), `it must be for audience "mooring"`)
	expectExit(w.fleet, w.startAgent(w.token("mooring", nil), w.serverCA()), "is not bound to a node")
	expectExit(w.fleet, w.startAgent("no token", w.serverCA()), "is not valid")
	expectExit(w.fleet, w.startAgent(foreign, string(fakegateway.NewCA(t, "other").Bundle(t).PEM())), "nothing was sent to it")
	// The API server caches its answer about a token for seconds; it has not seen this token
	// before.
	orphan := w.token("mooring", w.podReference())
	w.deleteObject(w.pod)
	expectExit(w.fleet, w.startAgent(orphan, w.serverCA()), "is not valid")
	var requests v1alpha1.PairingRequestList
	if err := system.Client.List(t.Context(), &requests, client.InNamespace(w.Namespace)); err != nil || len(requests.Items) != 0 {
		t.Errorf("%d requests were made, %v", len(requests.Items), err)
	}
}

// An attacker controls a gateway that has a valid token, and claims more than the token proves.
func TestTheControllerBelievesTheTokenAndNotTheGateway(t *testing.T) {
	t.Parallel()
	w := newWorkload(newFleet(t))
	w.setRule("fleet: " + w.Namespace + "\n")
	access, err := system.Cluster.ServiceAccountConfig(t.Context(), v1alpha1.SystemNamespace, v1alpha1.GatewayServiceAccount)
	if err != nil {
		t.Fatal(err)
	}
	stolen := cluster.Of(system.Cluster).ClientFor(t, access)
	honest := v1alpha1.ServiceAccountIdentity{Namespace: w.Namespace, Name: "agent", Node: w.node.Name, NodeUID: string(w.node.UID)}
	for name, c := range map[string]struct {
		node, audience, says string
		change               func(*v1alpha1.ServiceAccountIdentity)
	}{
		"another account":            {w.nodeName(), "mooring", "do not trust the gateway", func(s *v1alpha1.ServiceAccountIdentity) { s.Name = "admin" }},
		"another node":               {"elsewhere", "mooring", "do not trust the gateway", func(s *v1alpha1.ServiceAccountIdentity) { s.Node = "elsewhere" }},
		"a former core Node":         {w.nodeName(), "mooring", "do not trust the gateway", func(s *v1alpha1.ServiceAccountIdentity) { s.NodeUID = "former" }},
		"no UID":                     {w.nodeName(), "mooring", "update the CRDs and the gateways", func(s *v1alpha1.ServiceAccountIdentity) { s.NodeUID = "" }},
		"another name":               {"elsewhere", "mooring", "so the Node must be", func(*v1alpha1.ServiceAccountIdentity) {}},
		"a token for the API server": {w.nodeName(), "https://kubernetes.default.svc", "is not valid", func(*v1alpha1.ServiceAccountIdentity) {}},
		"no token":                   {w.nodeName(), "", "no token behind this request", func(*v1alpha1.ServiceAccountIdentity) {}},
	} {
		t.Run(name, func(t *testing.T) {
			claimed := honest
			c.change(&claimed)
			request := forgedRequest(t, w.Namespace, c.node, claimed)
			if c.audience != "" {
				tokenSecret := &corev1.Secret{
					ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.PairingNamespace, Name: v1alpha1.TokenSecretName(w.Namespace, request.Name)},
					Type:       v1alpha1.SecretTypeServiceAccountToken,
					Data:       map[string][]byte{v1alpha1.TokenKey: []byte(w.token(c.audience, w.podReference()))},
				}
				if err := stolen.Create(t.Context(), tokenSecret); err != nil {
					t.Fatal(err)
				}
			}
			if err := stolen.Create(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			request = testfleet.Await(w.fleet, request.Name, request, "Failed", func(r *v1alpha1.PairingRequest) bool {
				return r.Status.Phase == v1alpha1.PairingRequestFailed
			})
			condition := meta.FindStatusCondition(request.Status.Conditions, v1alpha1.ConditionCompleted)
			if condition == nil || condition.Reason != v1alpha1.ReasonServiceAccountRefused || !strings.Contains(condition.Message, c.says) {
				t.Errorf("it failed with %+v, want %q", condition, c.says)
			}
		})
	}
}

func forgedRequest(t *testing.T, fleet, node string, claimed v1alpha1.ServiceAccountIdentity) *v1alpha1.PairingRequest {
	t.Helper()
	public := &fakegateway.NewKey(t).PublicKey
	text, err := identity.MarshalPublicKeyPEM(public)
	if err != nil {
		t.Fatal(err)
	}
	pin, err := identity.FingerprintSPKI(public)
	if err != nil {
		t.Fatal(err)
	}
	return &v1alpha1.PairingRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: fleet, Name: "forged-" + rand.String(6)},
		Spec: v1alpha1.PairingRequestSpec{
			NodeName: node, PublicKey: string(text), PublicKeySHA256: pin, VerificationCode: pairing.VerificationCode(pin),
			Method: v1alpha1.PairingMethodServiceAccount, ServiceAccount: &claimed,
			ExpiresTime: metav1.NewTime(time.Now().Add(time.Hour).Truncate(time.Second)),
		},
	}
}
