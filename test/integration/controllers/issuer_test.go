package controllers_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"strings"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
)

// stopCertManager stops cert-manager until the test ends or start is called. It first waits for the
// CAs.
func stopCertManager(t *testing.T) (start func()) {
	t.Helper()
	trustBundle(t, v1alpha1.TrustDeviceCAKey)
	ctx := context.WithoutCancel(t.Context())
	if err := shared.StopComponent(ctx, controlplane.CertManager); err != nil {
		t.Fatal(err)
	}
	start = func() {
		if err := shared.StartComponent(ctx, controlplane.CertManager); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(start)
	return start
}

// deviceCA returns the CA with which cert-manager signs the certificates of machines.
func deviceCA(t *testing.T) *identitytest.Authority {
	t.Helper()
	secret := &corev1.Secret{}
	if err := shared.Client().Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: "mooring-device-ca"}, secret); err != nil {
		t.Fatal(err)
	}
	return identitytest.LoadAuthority(t, secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
}

// signRequest answers the CertificateRequest for a CSR, as an issuer does.
func signRequest(t *testing.T, csr []byte, certificate []byte) {
	t.Helper()
	c := issuerClient(t)
	request := string(identity.MarshalCSRPEM(csr))
	patient.Succeeds(t, "an issuer is asked", func(ctx context.Context) error {
		var list certmanagerv1.CertificateRequestList
		if err := c.List(ctx, &list, client.InNamespace(v1alpha1.SystemNamespace)); err != nil {
			return err
		}
		for _, certRequest := range list.Items {
			if string(certRequest.Spec.Request) == request {
				now := metav1.Now()
				certRequest.Status.Certificate = certificate
				certRequest.Status.Conditions = []certmanagerv1.CertificateRequestCondition{{Type: certmanagerv1.CertificateRequestConditionReady,
					Status: cmmeta.ConditionTrue, Reason: certmanagerv1.CertificateRequestReasonIssued, LastTransitionTime: &now}}
				return c.Status().Update(ctx, &certRequest)
			}
		}
		return errors.New("there is no certificate request")
	})
}

// An issuer may sign a wrong certificate with the right CA.
func TestACertificateThatWasNotAskedForIsRefused(t *testing.T) {
	stopCertManager(t)
	m := newApprovedMachine(t, shared.Namespace(t), "box")
	stranger, _ := newKey(t)
	ca, id, other := deviceCA(t), m.id(), m.id()
	other.Node = "other"
	for name, c := range map[string]struct {
		id      identity.ID
		key     *ecdsa.PrivateKey
		changes []identitytest.Change
		want    string
	}{
		"of another machine": {other, m.key, nil, identity.ReasonWrongIdentity},
		"of another key":     {id, stranger, nil, identity.ReasonKeyMismatch},
		"of a longer life":   {id, m.key, []identitytest.Change{identitytest.ValidUntil(25 * time.Hour)}, identity.ReasonLifetimeTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			csr := m.csr(t)
			m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateInitial})
			signRequest(t, csr, identity.MarshalCertificatesPEM(ca.IssueDevice(t, c.id, &c.key.PublicKey, c.changes...)))
			if issued := m.awaitAnswer(t, csr).Status.Issued; issued.Chain != "" || !strings.Contains(issued.Error, c.want) {
				t.Errorf("answer is %+v, want an error with %q", issued, c.want)
			}
		})
	}
	csr := m.csr(t)
	m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateInitial})
	signRequest(t, csr, identity.MarshalCertificatesPEM(ca.IssueDevice(t, id, &m.key.PublicKey)))
	m.publishedChain(t, m.awaitAnswer(t, csr), m.pin)
}
