package controllers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

// A webhook can choose the code of its refusal. An unreachable webhook refuses too.
func TestAWebhookThatRefusesBacksOffSaysWhyAndGoesOn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		resource string
		code     int32 // 0: the webhook cannot be reached
		reason   string
		text     string
	}{
		"a conflict":         {"secrets", http.StatusConflict, v1alpha1.ReasonReconcileFailed, refusalText},
		"a code of its own":  {"secrets", http.StatusTeapot, v1alpha1.ReasonWriteRefused, refusalText},
		"too many requests":  {"secrets", http.StatusTooManyRequests, v1alpha1.ReasonReconcileFailed, refusalText},
		"cannot be reached":  {"secrets", 0, v1alpha1.ReasonReconcileFailed, "failed calling webhook"},
		"a status, conflict": {"pairingcodes/status", http.StatusConflict, "", refusalText},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fleet := shared.Namespace(t)
			lift := refuseByWebhook(t, fleet, test.resource, test.code)
			mark := time.Now()
			code := createCode(t, fleet, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN})
			if test.reason == "" {
				waitForWarning(t, code, v1alpha1.ReasonReconcileFailed, test.text)
			} else {
				waitForStalled(t, code, test.reason, test.text)
			}
			checkFewWrites(t, fleet, mark)
			lift()
			codeBecomesActive(t, code)
			waitForRecovery(t, code)
		})
	}
}

// refuseByWebhook starts a webhook that refuses the writes of the controller to a resource of a
// fleet, and returns a function that removes it. A ConfigMap shows whether the API server calls it.
func refuseByWebhook(t *testing.T, fleet, resource string, code int32) (lift func()) {
	t.Helper()
	server := httptest.NewTLSServer(refusingHandler(code))
	t.Cleanup(server.Close)
	address := server.URL
	if code == 0 {
		server.Close()
	}
	ca := identity.MarshalCertificatesPEM(server.Certificate())
	none, fail := admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Fail
	rule := func(group, of string) admissionregistrationv1.RuleWithOperations {
		return admissionregistrationv1.RuleWithOperations{Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
			Rule: admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{"*"}, Resources: []string{of}}}
	}
	group := ""
	if strings.HasPrefix(resource, "pairing") {
		group = v1alpha1.GroupName
	}
	webhook := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "refusal-" + fleet},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "refusal.mooring.test", SideEffects: &none, FailurePolicy: &fail, AdmissionReviewVersions: []string{"v1"},
			ClientConfig:      admissionregistrationv1.WebhookClientConfig{URL: ptr.To(address + "/"), CABundle: ca},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: fleet}},
			Rules:             []admissionregistrationv1.RuleWithOperations{rule(group, resource), rule("", "configmaps")},
			TimeoutSeconds:    ptr.To[int32](2),
		}},
	}
	if err := shared.Client().Create(t.Context(), webhook); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shared.Client().Delete(context.Background(), webhook) })
	probe := func(ctx context.Context) error {
		return shared.Client().Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: fleet, Name: "probe"}}, client.DryRunAll)
	}
	patient.Succeeds(t, "the webhook works", func(ctx context.Context) error {
		if err := probe(ctx); err == nil || !strings.Contains(err.Error(), "refusal.mooring.test") {
			return fmt.Errorf("the probe ended with %w", errors.Join(errors.New("no refusal"), err))
		}
		return nil
	})
	return func() {
		if err := shared.Client().Delete(t.Context(), webhook); err != nil {
			t.Fatal(err)
		}
		patient.Succeeds(t, "the webhook is gone", probe)
	}
}

func refusingHandler(code int32) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := admissionv1.AdmissionReview{}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Result: &metav1.Status{Code: code, Message: refusalText}}
		review.Request = nil
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	})
}
