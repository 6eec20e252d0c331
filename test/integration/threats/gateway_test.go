package threats_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/config"
	"github.com/mooring-dev/mooring/internal/certstatus"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/test/cluster"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// gatewayTokenClient returns a client with the real token of the gateways.
func (f *fleet) gatewayTokenClient() client.Client {
	f.Helper()
	access, err := system.Cluster.ServiceAccountConfig(f.Context(), v1alpha1.SystemNamespace, v1alpha1.GatewayServiceAccount)
	if err != nil {
		f.Fatal(err)
	}
	return cluster.Of(system.Cluster).ClientFor(f, access)
}

// forgedRequest returns a request that fits a key of the attacker in every detail.
func (f *fleet) forgedRequest(node string, code *v1alpha1.PairingCode) (*v1alpha1.PairingRequest, *ecdsa.PrivateKey) {
	f.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	pin, err := identity.FingerprintSPKI(&key.PublicKey)
	if err != nil {
		f.Fatal(err)
	}
	text, err := identity.MarshalPublicKeyPEM(&key.PublicKey)
	if err != nil {
		f.Fatal(err)
	}
	return &v1alpha1.PairingRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: fmt.Sprintf("%s-%s-%s", node, pin[:8], strings.ToLower(code.Status.LookupID))},
		Spec: v1alpha1.PairingRequestSpec{
			NodeName: node, PublicKey: string(text), PublicKeySHA256: pin, Method: code.Spec.Method, CodeName: code.Name, CodeIssuedBy: code.Spec.IssuedBy,
			TranscriptSHA256: strings.Repeat("0a", 32), VerificationCode: pairing.VerificationCode(pin), RequestedCapabilities: []string{"echo"},
			ExpiresTime: metav1.NewTime(time.Now().Add(time.Hour).Truncate(time.Second)),
		},
	}, key
}

// Requests for keys that never paired fail before a person could approve them.
func TestStolenGatewayEnrolsNobody(t *testing.T) {
	f := newFleet(t)
	gateway := f.gatewayTokenClient()
	_, unused := f.IssuePIN("unused")
	knocked, used := f.StartPairing("honest") // its code is consumed by the honest key
	knocked.Stop()
	usedCode := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: used.Spec.CodeName}}
	testfleet.Read(f, usedCode)
	invented := unused.DeepCopy()
	invented.Name, invented.Status.LookupID = "invented", "AAAAAA"
	for name, attack := range map[string]struct {
		code   *v1alpha1.PairingCode
		reason string
	}{
		"with an unused code":             {unused, v1alpha1.ReasonCodeMismatch},
		"with a code another key used":    {usedCode, v1alpha1.ReasonCodeMismatch},
		"with a code that was never made": {invented, v1alpha1.ReasonCodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			g := f.inSubtest(t)
			request, _ := g.forgedRequest("forged", attack.code)
			if err := gateway.Create(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			request = testfleet.Await(g, request.Name, request, "Failed", func(r *v1alpha1.PairingRequest) bool {
				return r.Status.Phase == v1alpha1.PairingRequestFailed
			})
			if c := request.Status.Conditions; len(c) == 0 || c[len(c)-1].Reason != attack.reason {
				t.Errorf("conditions %+v, want reason %s", c, attack.reason)
			}
			g.Approve(request.Name) // too late to approve it by mistake
			testfleet.Await(g, request.Name, request, "still Failed", func(r *v1alpha1.PairingRequest) bool {
				return r.Spec.Decision != nil && r.Status.Phase == v1alpha1.PairingRequestFailed
			})
			g.checkNoNode("forged")
		})
	}
}

// checkNoNode fails the test if the controller, after it has handled all earlier requests, has made a
// Node of that name.
func (f *fleet) checkNoNode(name string) {
	f.Helper()
	// The controller judges the marker code after everything that was queued before it.
	marker := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, GenerateName: "marker-"}, Spec: v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN}}
	if err := system.Client.Create(f.Context(), marker); err != nil {
		f.Fatal(err)
	}
	testfleet.Await(f, marker.Name, marker, "judged", func(c *v1alpha1.PairingCode) bool { return len(c.Status.Conditions) > 0 })
	err := system.Client.Get(f.Context(), f.ObjectKey(name), &v1alpha1.Node{})
	if !apierrors.IsNotFound(err) {
		f.Errorf("Node %s: %v, want none", name, err)
	}
}

// The gateway forwards certificate requests, but cannot obtain a certificate for a key of its own.
func TestStolenGatewayGetsNoCertificate(t *testing.T) {
	f := newFleet(t)
	f.stealIdentity("kiosk")
	before := f.GetNode("kiosk")
	gateway := f.gatewayTokenClient()
	_, key := f.forgedRequest("kiosk", &v1alpha1.PairingCode{})
	for _, purpose := range []v1alpha1.CertificatePurpose{
		v1alpha1.CertificateInitial, v1alpha1.CertificateRenewal, v1alpha1.CertificateRotation, v1alpha1.CertificateRecovery,
	} {
		csr := f.csr(key, identity.ID{TrustDomain: trustDomain, Namespace: f.Namespace, Node: "kiosk"})
		proof := identity.Proof{Method: identity.ProofRotate, Exporter: make([]byte, pairing.ExporterLength), CSR: csr}
		wish := &v1alpha1.NodeCertificateRequest{Request: csr, Purpose: purpose, RequestedTime: metav1.Now(),
			Proof: &v1alpha1.CertificateProof{Exporter: proof.Exporter, Signature: f.sign(key, proof),
				CertificateFingerprintSHA256: before.Status.CertificateHistory[0].FingerprintSHA256}}
		node := f.GetNode("kiosk")
		patch := client.MergeFrom(node.DeepCopy())
		node.Status.CertificateRequest = wish
		if err := gateway.Status().Patch(t.Context(), node, patch); err != nil {
			t.Fatal(err)
		}
		after := testfleet.Await(f, "kiosk", node, "answered", func(n *v1alpha1.Node) bool {
			return certstatus.Answers(n.Status.Issued, csr)
		})
		if len(after.Status.Issued.Chain) != 0 || after.Status.Issued.Error == "" {
			t.Errorf("%s for a key of the attacker: %+v, want an error", purpose, after.Status.Issued)
		}
		if after.Spec.PublicKeySHA256 != before.Spec.PublicKeySHA256 || after.Spec.NextPublicKeySHA256 != "" {
			t.Errorf("%s moved a pin: %+v", purpose, after.Spec)
		}
	}
}

// The test tries further attacks with a stolen token. The verbs on Mooring's own kinds are tested
// in the tests of the API, together with the policies.
func TestStolenGatewayCannotReachFurther(t *testing.T) {
	f := newFleet(t)
	gateway, ctx := f.gatewayTokenClient(), t.Context()
	in := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: name}
	}
	impersonated, err := system.Cluster.ServiceAccountConfig(ctx, v1alpha1.SystemNamespace, v1alpha1.GatewayServiceAccount)
	if err != nil {
		t.Fatal(err)
	}
	impersonated.Impersonate.UserName = "system:serviceaccount:mooring-system:mooring-controller"
	role := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"}
	me := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.GatewayServiceAccount}}
	merge := func(o client.Object, body string) error {
		return gateway.Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(body)))
	}
	for name, err := range map[string]error{
		"take a token of the controller": gateway.SubResource("token").Create(ctx, &corev1.ServiceAccount{ObjectMeta: in(v1alpha1.ControllerServiceAccount)}, &authenticationv1.TokenRequest{}),
		"impersonate the controller":     cluster.Of(system.Cluster).ClientFor(t, impersonated).List(ctx, &v1alpha1.NodeList{}),
		"impersonate the probe":          f.createAsProbe(impersonated.BearerToken),
		"bind itself to cluster-admin":   gateway.Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "stolen"}, RoleRef: role, Subjects: me}),
		"bind itself in a fleet":         gateway.Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: "stolen"}, RoleRef: role, Subjects: me}),
		"widen its own role":             merge(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "mooring-gateway"}}, `{"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}`),
		"read the device CA's key":       gateway.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.DeviceIssuer}, &corev1.Secret{}),
		"list all Secrets":               gateway.List(ctx, &corev1.SecretList{}),
		"delete a password record":       gateway.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(v1alpha1.PairingNamespace)),
		"delete all Nodes":               gateway.DeleteAllOf(ctx, &v1alpha1.Node{}, client.InNamespace(f.Namespace)),
		"start a Pod":                    gateway.Create(ctx, &corev1.Pod{ObjectMeta: in("stolen")}),
		"change the namespace":           merge(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.Namespace}}, `{"metadata":{"labels":{"a":"b"}}}`),
		"delete a policy":                gateway.Delete(ctx, f.shippedObject("ValidatingAdmissionPolicy")),
		"narrow a binding":               merge(f.shippedObject("ValidatingAdmissionPolicyBinding"), `{"spec":{"validationActions":["Warn"]}}`),
		"change a definition":            merge(f.shippedObject("CustomResourceDefinition"), `{"spec":{"scope":"Cluster"}}`),
		"take over leadership":           merge(&coordinationv1.Lease{ObjectMeta: in(v1alpha1.LeaderLease)}, `{"spec":{"holderIdentity":"stolen"}}`),
		"renew the proof":                merge(&coordinationv1.Lease{ObjectMeta: in(v1alpha1.PolicyProofLease)}, `{"spec":{"holderIdentity":"stolen"}}`),
	} {
		if !apierrors.IsForbidden(err) && !isPolicyRejection(err) {
			t.Errorf("%s: %v, want it forbidden", name, err)
		}
	}
}

// isPolicyRejection reports whether err is a rejection by our policies, which do not all return Forbidden.
func isPolicyRejection(err error) bool {
	return err != nil && strings.Contains(err.Error(), v1alpha1.PolicyMessage(v1alpha1.PolicyGatewayLeases))
}

func (f *fleet) createAsProbe(token string) error {
	f.Helper()
	access := system.Cluster.UserConfig("system:serviceaccount:mooring-system:mooring-probe")
	access.CertData, access.KeyData, access.CertFile, access.KeyFile = nil, nil, "", ""
	access.BearerToken = token
	dispatch := &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "stolen"},
		Spec: v1alpha1.CapabilityDispatchSpec{NodeName: "kiosk", Capability: v1alpha1.ProbeCapability}}
	return cluster.Of(system.Cluster).ClientFor(f, access).Create(f.Context(), dispatch, client.DryRunAll)
}

// shippedObject returns the first shipped object of a kind.
func (f *fleet) shippedObject(kind string) *unstructured.Unstructured {
	f.Helper()
	for _, dir := range []string{config.DirCRD, config.DirPolicy} {
		objects, err := config.Objects(dir)
		if err != nil {
			f.Fatal(err)
		}
		for _, object := range objects {
			if object.GetKind() == kind {
				return object.DeepCopy()
			}
		}
	}
	f.Fatalf("no %s is shipped", kind)
	return nil
}
