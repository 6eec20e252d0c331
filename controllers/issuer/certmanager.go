package issuer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

// Parse parses NAME, Issuer/NAME or ClusterIssuer/NAME.
func Parse(text string) (cmmeta.IssuerReference, error) {
	kind, name, ok := strings.Cut(text, "/")
	if !ok {
		kind, name = certmanagerv1.IssuerKind, text
	}
	if kind != certmanagerv1.IssuerKind && kind != certmanagerv1.ClusterIssuerKind {
		return cmmeta.IssuerReference{}, fmt.Errorf("issuer %q: want NAME, Issuer/NAME or ClusterIssuer/NAME", text)
	}
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return cmmeta.IssuerReference{}, fmt.Errorf("issuer %q: %s", text, problems[0])
	}
	return cmmeta.IssuerReference{Group: "cert-manager.io", Kind: kind, Name: name}, nil
}

// CertManager is the Issuer that delegates signing to cert-manager.
type CertManager struct {
	client    client.Client
	namespace string
	issuer    cmmeta.IssuerReference
}

// NewCertManager returns the Issuer that requests certificates from issuer in namespace.
func NewCertManager(c client.Client, namespace string, issuer cmmeta.IssuerReference) *CertManager {
	return &CertManager{client: c, namespace: namespace, issuer: issuer}
}

// Sign creates the CertificateRequest if there is none, and reads its answer.
func (m *CertManager) Sign(ctx context.Context, order Order) (Signed, error) {
	certRequest := &certmanagerv1.CertificateRequest{}
	err := m.client.Get(ctx, client.ObjectKey{Namespace: m.namespace, Name: order.Name}, certRequest)
	if apierrors.IsNotFound(err) {
		certRequest = m.newCertificateRequest(order)
		err = m.client.Create(ctx, certRequest, client.FieldOwner(v1alpha1.FieldManagerController))
		if apierrors.IsAlreadyExists(err) {
			return Signed{}, m.pendingError(order, time.Time{}, "the cache is behind")
		}
	}
	if err != nil {
		return Signed{}, fmt.Errorf("ask cert-manager for %s: %w", order.Name, err)
	}
	if !m.matchesOrder(certRequest, order) {
		if err := m.client.Delete(ctx, certRequest, client.Preconditions{UID: &certRequest.UID}); client.IgnoreNotFound(err) != nil {
			return Signed{}, fmt.Errorf("delete foreign certificate request %s: %w", order.Name, err)
		}
		return Signed{}, m.pendingError(order, time.Time{}, "an older request of that name is being deleted")
	}
	return m.resultOf(order, certRequest)
}

// CheckPending reads the CertificateRequest from the cache.
func (m *CertManager) CheckPending(ctx context.Context, order Order) error {
	certRequest := &certmanagerv1.CertificateRequest{}
	if err := m.client.Get(ctx, client.ObjectKey{Namespace: m.namespace, Name: order.Name}, certRequest); err != nil {
		return client.IgnoreNotFound(err)
	}
	if !m.matchesOrder(certRequest, order) {
		return nil
	}
	_, err := m.resultOf(order, certRequest)
	var pending *PendingError
	if errors.As(err, &pending) {
		return pending
	}
	return nil
}

// matchesOrder reports whether a CertificateRequest matches the order. Names are hashes, so a
// mismatch means that another client created the CertificateRequest or that the issuer flag was
// changed.
func (m *CertManager) matchesOrder(certRequest *certmanagerv1.CertificateRequest, order Order) bool {
	return certRequest.Spec.IssuerRef == m.issuer && string(certRequest.Spec.Request) == string(m.newCertificateRequest(order).Spec.Request)
}

// resultOf converts the conditions of a CertificateRequest to a result.
func (m *CertManager) resultOf(order Order, certRequest *certmanagerv1.CertificateRequest) (Signed, error) {
	detail := "cert-manager has not processed it yet"
	for _, condition := range certRequest.Status.Conditions {
		if condition.Status == cmmeta.ConditionTrue {
			switch condition.Type {
			case certmanagerv1.CertificateRequestConditionDenied, certmanagerv1.CertificateRequestConditionInvalidRequest:
				return Signed{}, &RefusedError{Order: m.requestName(order), Detail: condition.Message}
			case certmanagerv1.CertificateRequestConditionReady:
				return Signed{Chain: certRequest.Status.Certificate, CA: certRequest.Status.CA, Since: certRequest.CreationTimestamp.Time}, nil
			}
			continue
		}
		if condition.Type == certmanagerv1.CertificateRequestConditionReady {
			detail = condition.Message
			if condition.Reason == certmanagerv1.CertificateRequestReasonFailed || condition.Reason == certmanagerv1.CertificateRequestReasonDenied {
				return Signed{}, &RefusedError{Order: m.requestName(order), Detail: condition.Message}
			}
		}
	}
	return Signed{}, m.pendingError(order, certRequest.CreationTimestamp.Time, detail)
}

func (m *CertManager) pendingError(order Order, since time.Time, detail string) error {
	return &PendingError{Order: m.requestName(order), Since: since, Detail: detail}
}

func (m *CertManager) requestName(order Order) string {
	return fmt.Sprintf("CertificateRequest %s/%s", m.namespace, order.Name)
}

func (m *CertManager) newCertificateRequest(order Order) *certmanagerv1.CertificateRequest {
	return &certmanagerv1.CertificateRequest{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: m.namespace, Name: order.Name, Labels: order.Labels,
			Annotations: map[string]string{v1alpha1.AnnotationRequestSHA256: identity.FingerprintCSR(order.Request)},
		},
		Spec: certmanagerv1.CertificateRequestSpec{
			Request:   identity.MarshalCSRPEM(order.Request),
			IssuerRef: m.issuer,
			Usages:    order.Usages,
			Duration:  &metav1.Duration{Duration: order.Duration},
		},
	}
}

// DeleteOrders deletes CertificateRequests: cert-manager deletes only those that belong to a
// Certificate.
func (m *CertManager) DeleteOrders(ctx context.Context, labels map[string]string, except string) error {
	var list certmanagerv1.CertificateRequestList
	if err := m.client.List(ctx, &list, client.InNamespace(m.namespace), client.MatchingLabels(labels)); err != nil {
		return fmt.Errorf("list certificate requests: %w", err)
	}
	var problems []error
	for i := range list.Items {
		if certRequest := &list.Items[i]; certRequest.Name != except && certRequest.DeletionTimestamp.IsZero() {
			err := m.client.Delete(ctx, certRequest, client.Preconditions{UID: &certRequest.UID})
			problems = append(problems, client.IgnoreNotFound(err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("delete answered certificate requests: %w", err)
	}
	return nil
}
