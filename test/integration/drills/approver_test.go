package drills_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/hack/dev/poll"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/test/sim"
	"github.com/mooring-dev/mooring/test/simfleet"
)

var policyKind = schema.GroupVersionKind{Group: "policy.cert-manager.io", Version: "v1alpha1", Kind: "CertificateRequestPolicy"}

// startProgram runs a program of the drill with an administrator's kubeconfig until the test ends.
func (f *fleet) startProgram(program string, args ...string) {
	f.Helper()
	log, err := os.Create(filepath.Join(system.Dir, program+".log"))
	if err != nil {
		f.Fatal(err)
	}
	cmd := exec.Command(system.Cluster.Binary(program), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
	})
}

// apply runs kubectl apply as an administrator.
func (f *fleet) apply(files ...string) {
	f.Helper()
	for _, file := range files {
		if out, err := system.Run(f.BoundedContext(), "", "kubectl", "apply", "-f", file); err != nil {
			f.Fatalf("%v\n%s", err, out)
		}
	}
}

// policyDefinition returns the path of approver-policy's CRD in the module from which it was built.
func (f *fleet) policyDefinition() string {
	f.Helper()
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/approver-policy")
	list.Dir = filepath.Join(system.Root, "hack", "tools", "drill")
	dir, err := list.Output()
	if err != nil {
		f.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "deploy", "crds", "policy.cert-manager.io_certificaterequestpolicies.yaml")
}

// useApproverPolicy replaces cert-manager's own approver with approver-policy.
func (f *fleet) useApproverPolicy() {
	f.Helper()
	if err := system.Cluster.StopComponent(f.BoundedContext(), controlplane.CertManager); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		// The test's own context has ended by then.
		if err := system.Cluster.StartComponent(context.WithoutCancel(f.Context()), controlplane.CertManager); err != nil {
			f.Error(err)
		}
	})
	kubeconfig := filepath.Join(system.Cluster.State(), "cert-manager.kubeconfig")
	f.startProgram("cert-manager", "--kubeconfig", kubeconfig, "--listen", freeAddress(f.T), "--without", "certificaterequests-approver")
	requester := filepath.Join("testdata", "requester.yaml")
	f.Cleanup(func() {
		if out, err := system.Run(context.WithoutCancel(f.Context()), "", "kubectl", "delete", "--ignore-not-found", "-f", requester); err != nil {
			f.Errorf("%v\n%s", err, out)
		}
	})
	f.apply(f.policyDefinition(), requester)
	mallory := simClient(f, system.Cluster.UserConfig("mallory", "certificate-makers"))
	checkRequester := func() error {
		request := f.newOrder("probe", &url.URL{Scheme: "spiffe", Host: "mooring.local", Path: "/probe"}, certmanagerv1.UsageClientAuth)
		if err := mallory.Create(f.Context(), request, client.DryRunAll); err != nil || request.Spec.Username != "mallory" {
			return fmt.Errorf("the order of mallory is %q's: %w", request.Spec.Username, err)
		}
		return nil
	}
	if poll.UntilTrue(f.BoundedContext(), func() bool { return checkRequester() == nil }) != nil {
		f.Fatal(checkRequester())
	}
	_, port, _ := strings.Cut(freeAddress(f.T), ":")
	f.startProgram("approver-policy", "--kubeconfig", kubeconfig, "--leader-election-namespace", v1alpha1.SystemNamespace,
		"--metrics-bind-address", freeAddress(f.T), "--readiness-probe-bind-address", freeAddress(f.T),
		"--webhook-host", "127.0.0.1", "--webhook-port", port, "--webhook-ca-secret-namespace", v1alpha1.SystemNamespace,
		"--webhook-ca-secret-name", "approver-policy-tls", "--webhook-service-name", "approver-policy")
	f.apply(filepath.Join("testdata", "approver-policy.yaml"))
}

// newOrder returns a CertificateRequest for a URI under the device issuer.
func (f *fleet) newOrder(name string, uri *url.URL, usage certmanagerv1.KeyUsage) *certmanagerv1.CertificateRequest {
	f.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{uri}}, key)
	if err != nil {
		f.Fatal(err)
	}
	return &certmanagerv1.CertificateRequest{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: f.Namespace + "-" + name},
		Spec: certmanagerv1.CertificateRequestSpec{
			Request: identity.MarshalCSRPEM(der), Duration: &metav1.Duration{Duration: time.Hour},
			IssuerRef: cmmeta.IssuerReference{Group: "cert-manager.io", Kind: certmanagerv1.IssuerKind, Name: v1alpha1.DeviceIssuer},
			Usages:    []certmanagerv1.KeyUsage{certmanagerv1.UsageDigitalSignature, usage},
		}}
}

// awaitCondition waits until a condition of an order is True, and returns its message.
func (f *fleet) awaitCondition(order *certmanagerv1.CertificateRequest, kind certmanagerv1.CertificateRequestConditionType) (message string) {
	f.Helper()
	f.Eventually(string(kind)+" of "+order.Name, func() bool {
		if f.Sim.Client.Get(f.Context(), client.ObjectKeyFromObject(order), order) != nil {
			return false
		}
		for _, c := range order.Status.Conditions {
			if c.Type == kind && c.Status == cmmeta.ConditionTrue {
				message = c.Message
				return true
			}
		}
		return false
	})
	return message
}

// TestAnotherApproverApprovesOnlyWhatMooringAsksFor uses approver-policy instead of cert-manager's own
// approver. Machines must pair, and Mooring's account must get nothing else signed. Other accounts
// must get nothing signed, even with all rights to create requests.
func TestAnotherApproverApprovesOnlyWhatMooringAsksFor(t *testing.T) {
	f := newFleet(t, system.NodeEndpoint, 0)
	f.useApproverPolicy()
	// A controller that restarts determines the CAs again, from samples.
	system.Controller.Stop()
	if err := system.StartController(); err != nil {
		t.Fatal(err)
	}
	if err := f.Sim.Pair(f.BoundedContext(), 1, nil); err != nil {
		t.Fatal(err)
	}
	f.expectWorks(f.Sim.Agents()[0].Name)

	access, err := system.Cluster.ServiceAccountConfig(t.Context(), v1alpha1.SystemNamespace, v1alpha1.ControllerServiceAccount)
	if err != nil {
		t.Fatal(err)
	}
	node := url.URL{Scheme: "spiffe", Host: "mooring.local", Path: "/ns/" + f.Namespace + "/node/minted"}
	for _, try := range []struct {
		name  string
		order *certmanagerv1.CertificateRequest
	}{
		{"a server's certificate", f.newOrder("server", &node, certmanagerv1.UsageServerAuth)},
		{"another trust domain", f.newOrder("foreign", &url.URL{Scheme: "spiffe", Host: "elsewhere.example", Path: node.Path}, certmanagerv1.UsageClientAuth)},
	} {
		t.Run(try.name, func(t *testing.T) {
			g := &fleet{&simfleet.Fleet{Fleet: f.InSubtest(t), Sim: f.Sim, Runs: f.Runs}}
			if err := simClient(g, access).Create(t.Context(), try.order); err != nil {
				t.Fatal(err)
			}
			if message := g.awaitCondition(try.order, certmanagerv1.CertificateRequestConditionDenied); !strings.Contains(message, "mooring-devices") {
				t.Errorf("denied with %q, want it to name the policy", message)
			}
		})
	}
	minted := f.newOrder("minted", &node, certmanagerv1.UsageClientAuth)
	if err := simClient(f, system.Cluster.UserConfig("mallory", "certificate-makers")).Create(t.Context(), minted); err != nil {
		t.Fatal(err)
	}
	if err := f.Sim.Pair(f.BoundedContext(), 1, nil); err != nil { // requested later than minted, and signed
		t.Fatal(err)
	}
	if err := f.Sim.Client.Get(t.Context(), client.ObjectKeyFromObject(minted), minted); err != nil || len(minted.Status.Certificate) != 0 {
		t.Errorf("the order of another account was signed: %+v, %v", minted.Status.Conditions, err)
	}
	f.checkRefusalIsReported()
	f.renewGatewayCertificate()
}

// renewGatewayCertificate makes cert-manager request the gateways' certificate again.
func (f *fleet) renewGatewayCertificate() {
	f.Helper()
	secret := &corev1.Secret{}
	key := types.NamespacedName{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.GatewayTLSSecret}
	if err := system.Client.Get(f.Context(), key, secret); err != nil {
		f.Fatal(err)
	}
	if err := system.Client.Delete(f.Context(), secret); err != nil {
		f.Fatal(err)
	}
	renewed := &corev1.Secret{}
	f.Eventually("the gateways' certificate to be issued again", func() bool {
		return system.Client.Get(f.Context(), key, renewed) == nil && renewed.UID != secret.UID && len(renewed.Data[corev1.TLSCertKey]) > 0
	})
}

func simClient(f *fleet, access *rest.Config) client.Client {
	f.Helper()
	c, err := sim.NewClient(access)
	if err != nil {
		f.Fatal(err)
	}
	return c
}

// checkRefusalIsReported makes the policy too narrow for machines. The approver of machines must see the reason,
// and the machine must get its certificate by itself once the policy is corrected.
func (f *fleet) checkRefusalIsReported() {
	f.Helper()
	policy := &unstructured.Unstructured{}
	policy.SetGroupVersionKind(policyKind)
	policy.SetName("mooring-devices")
	narrow := func(domain string) {
		f.Helper()
		body := `{"spec":{"allowed":{"uris":{"required":true,"values":["spiffe://` + domain + `/ns/*/node/*"]}}}}`
		if err := system.Client.Patch(f.Context(), policy.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
			f.Fatal(err)
		}
	}
	narrow("nobody.example")
	paired := make(chan error, 1)
	ctx := f.BoundedContext()
	go func() { paired <- f.Sim.Pair(ctx, 1, nil) }()
	f.Eventually("the request to show that the policy refused its certificate", func() bool {
		var list v1alpha1.PairingRequestList
		if system.Client.List(f.Context(), &list, client.InNamespace(f.Namespace)) != nil {
			return false
		}
		for _, request := range list.Items {
			issued := meta.FindStatusCondition(request.Status.Conditions, v1alpha1.ConditionIssued)
			if issued != nil && issued.Reason == v1alpha1.ReasonCertificateRefused && strings.Contains(issued.Message, "policy") {
				return true
			}
		}
		return false
	})
	narrow("mooring.local")
	f.Sim.Agents()[2].Restart() // without a restart it would ask again within a minute and a half
	if err := <-paired; err != nil {
		f.Errorf("after the policy was corrected: %v", err)
	}
}
