package controllers_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers"
	"github.com/mooring-dev/mooring/internal/certstatus"
	"github.com/mooring-dev/mooring/internal/identity"
)

// requestCertificate writes a certificate request to the status of the Node, with the rights of a gateway.
func (m machine) requestCertificate(t *testing.T, request v1alpha1.NodeCertificateRequest) {
	t.Helper()
	request.RequestedTime = metav1.Now()
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&request)
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": m.request.Namespace, "name": m.request.Spec.NodeName},
		"status":   map[string]any{"certificateRequest": fields},
	}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Node"))
	err = gatewayClient(t).Status().Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object),
		client.FieldOwner(v1alpha1.FieldManagerCertificate), client.ForceOwnership)
	if err != nil {
		t.Fatalf("ask for a certificate: %v", err)
	}
}

// awaitAnswer waits for the answer to a request.
func (m machine) awaitAnswer(t *testing.T, csr []byte) *v1alpha1.Node {
	t.Helper()
	return waitForObject(t, "the request is answered", m.node(), func(node *v1alpha1.Node) error {
		if !certstatus.Answers(node.Status.Issued, csr) {
			return fmt.Errorf("issued is %+v, conditions %+v", node.Status.Issued, node.Status.Conditions)
		}
		return nil
	})
}

// publishedChain returns the published chain after the checks that a machine and a gateway perform.
func (m machine) publishedChain(t *testing.T, node *v1alpha1.Node, pin string) []*x509.Certificate {
	t.Helper()
	if node.Status.Issued.Error != "" {
		t.Fatalf("refused: %s", node.Status.Issued.Error)
	}
	chain, err := identity.ParseChainPEM([]byte(node.Status.Issued.Chain))
	if err != nil {
		t.Fatal(err)
	}
	roots := trustBundle(t, v1alpha1.TrustDeviceCAKey).Pool()
	if err := identity.ValidateIssued(chain, m.id(), pin, roots, time.Now()); err != nil {
		t.Fatal(err)
	}
	return chain
}

func issuerClient(t *testing.T) client.Client {
	t.Helper()
	c, err := client.New(shared.AdminConfig(), client.Options{Scheme: controllers.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// waitForNoRequests waits until all CertificateRequests of the namespace are deleted.
func waitForNoRequests(t *testing.T, namespace string) {
	t.Helper()
	c := issuerClient(t)
	patient.Succeeds(t, "the certificate requests are deleted", func(ctx context.Context) error {
		var list certmanagerv1.CertificateRequestList
		err := c.List(ctx, &list, client.InNamespace(v1alpha1.SystemNamespace), client.MatchingLabels{v1alpha1.LabelNamespace: namespace})
		if err == nil && len(list.Items) > 0 {
			err = fmt.Errorf("%d are left", len(list.Items))
		}
		return err
	})
}

// newCertifiedMachine returns a machine with its first certificate.
func newCertifiedMachine(t *testing.T) (machine, *v1alpha1.Node) {
	t.Helper()
	m := newApprovedMachine(t, shared.Namespace(t), "box")
	csr := m.csr(t)
	m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateInitial})
	return m, m.awaitAnswer(t, csr)
}

// awaitPendingReason waits until Node and request show why there is no certificate yet.
func (m machine) awaitPendingReason(t *testing.T, reason, text string) {
	t.Helper()
	check := func(conditions []metav1.Condition, kind string) error {
		condition := meta.FindStatusCondition(conditions, kind)
		if condition == nil || condition.Status != metav1.ConditionFalse || condition.Reason != reason || !strings.Contains(condition.Message, text) {
			return fmt.Errorf("%s is %+v", kind, condition)
		}
		return nil
	}
	waitForObject(t, "the Node shows why there is no certificate", m.node(), func(node *v1alpha1.Node) error {
		if node.Status.Issued != nil {
			return errors.New("there is an answer")
		}
		return check(node.Status.Conditions, v1alpha1.ConditionCertificateValid)
	})
	waitForObject(t, "the request shows why there is no certificate", m.request, func(request *v1alpha1.PairingRequest) error {
		return check(request.Status.Conditions, v1alpha1.ConditionIssued)
	})
}
