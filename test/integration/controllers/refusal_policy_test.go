package controllers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// writeLog records the writes of the manager, including refused ones and dry runs.
type writeLog struct {
	mu     sync.Mutex
	writes []loggedWrite
	owners map[string]string // fleets of objects in other namespaces, by name
}

type loggedWrite struct {
	at         time.Time
	line, name string
	body       []byte
}

var managerWrites = &writeLog{owners: map[string]string{}}

func (l *writeLog) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if request.Method != http.MethodGet {
			l.add(request)
		}
		return next.RoundTrip(request)
	})
}

func (l *writeLog) add(request *http.Request) {
	write := loggedWrite{at: time.Now(), line: request.Method + " " + request.URL.RequestURI(), name: path.Base(request.URL.Path)}
	if request.GetBody != nil {
		if body, err := request.GetBody(); err == nil {
			write.body, _ = io.ReadAll(body)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes = append(l.writes, write)
}

// assign assigns the writes of an object in another namespace to a fleet.
func (l *writeLog) assign(name, fleet string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owners[name] = fleet
}

// forFleet returns the writes for a fleet since the given time.
func (l *writeLog) forFleet(fleet string, since time.Time) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, write := range l.writes {
		if write.at.Before(since) || !strings.Contains(write.line, fleet) && l.owners[write.name] != fleet && !bytes.Contains(write.body, []byte(fleet)) {
			continue
		}
		lines = append(lines, fmt.Sprintf("%6.2f s %s", write.at.Sub(since).Seconds(), write.line))
	}
	return lines
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// checkFewWrites counts the writes in the window.
func checkFewWrites(t *testing.T, fleet string, mark time.Time) {
	t.Helper()
	select {
	case <-time.After(time.Until(mark.Add(refusalWindow()))):
	case <-t.Context().Done():
	}
	lines := managerWrites.forFleet(fleet, mark)
	if len(lines) > maxRefusedWrites || len(lines) == 0 {
		t.Errorf("%d writes in %s, want at most %d:\n%s", len(lines), refusalWindow(), maxRefusedWrites, strings.Join(lines, "\n"))
	}
	t.Logf("%d writes", len(lines))
}

// refuseByPolicy creates a policy that refuses a write of the controller for one fleet, waits until it
// works, and returns a function that removes it. A ConfigMap with the name of the policy shows
// whether it works.
func refuseByPolicy(t *testing.T, row refusedWrite, fleet string) (lift func()) {
	t.Helper()
	namespace, name, deny := fleet, "refusal-"+fleet, admissionregistrationv1.Fail
	if row.namespace != "" {
		namespace = row.namespace
	}
	rule := func(group, of string, operation admissionregistrationv1.OperationType) admissionregistrationv1.NamedRuleWithOperations {
		return admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{operation},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{"*"}, Resources: []string{of}},
		}}
	}
	var reason *metav1.StatusReason
	if row.reason != "" {
		reason = &row.reason
	}
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
		FailurePolicy: &deny,
		MatchConstraints: &admissionregistrationv1.MatchResources{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
			ResourceRules:     []admissionregistrationv1.NamedRuleWithOperations{rule(row.group, row.resource, row.operation), rule("", "configmaps", admissionregistrationv1.Create)},
		},
		Variables: []admissionregistrationv1.Variable{
			{Name: "subject", Expression: "request.operation == 'DELETE' ? oldObject : object"},
			{Name: "probe", Expression: fmt.Sprintf("request.resource.resource == 'configmaps' && request.name == '%s'", name)},
			{Name: "fleet", Expression: fmt.Sprintf("'%s' == '%s' || variables.subject.metadata.?labels['%s'].orValue('') == '%s' || variables.subject.metadata.name in ['%s', '%s']",
				namespace, fleet, v1alpha1.LabelNamespace, fleet, v1alpha1.GatewayLeasePrefix+fleet, v1alpha1.TrustConfigMap)},
			{Name: "controller", Expression: fmt.Sprintf("request.userInfo.username == 'system:serviceaccount:%s:%s'", v1alpha1.SystemNamespace, v1alpha1.ControllerServiceAccount)},
		},
		Validations: []admissionregistrationv1.Validation{{
			Expression: "!variables.probe && !(variables.controller && variables.fleet)", Message: refusalText, Reason: reason,
		}},
	}}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}}}
	for _, object := range []client.Object{policy, binding} {
		if err := shared.Client().Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = shared.Client().Delete(context.Background(), object) })
	}
	probe := func(ctx context.Context) error {
		config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		return shared.Client().Create(ctx, config, client.DryRunAll)
	}
	patient.Succeeds(t, "the policy works", func(ctx context.Context) error {
		if err := probe(ctx); err == nil || !strings.Contains(err.Error(), refusalText) {
			return fmt.Errorf("the probe ended with %w", errors.Join(errors.New("no refusal"), err))
		}
		return nil
	})
	return func() {
		for _, object := range []client.Object{binding, policy} {
			if err := shared.Client().Delete(t.Context(), object); err != nil {
				t.Fatal(err)
			}
		}
		patient.Succeeds(t, "the policy is lifted", probe)
	}
}

func waitForRefusal(t *testing.T, object client.Object, text string) {
	t.Helper()
	waitForStalled(t, object, v1alpha1.ReasonWriteRefused, text)
}

func waitForStalled(t *testing.T, object client.Object, reason, text string) {
	t.Helper()
	waitForObject(t, "condition Stalled has the reason and the text", object, func(object client.Object) error {
		stalled := meta.FindStatusCondition(conditionsOf(object), v1alpha1.ConditionStalled)
		if stalled == nil || stalled.Reason != reason || !strings.Contains(stalled.Message, text) {
			return fmt.Errorf("conditions are %+v", conditionsOf(object))
		}
		return nil
	})
}

func waitForRecovery(t *testing.T, object client.Object) {
	t.Helper()
	patient.Succeeds(t, "the object is not stalled", func(ctx context.Context) error {
		if err := shared.Client().Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return client.IgnoreNotFound(err)
		}
		if stalled := meta.FindStatusCondition(conditionsOf(object), v1alpha1.ConditionStalled); stalled != nil {
			return fmt.Errorf("still %+v", stalled)
		}
		return nil
	})
}

func conditionsOf(object client.Object) []metav1.Condition {
	switch o := object.(type) {
	case *v1alpha1.Node:
		return o.Status.Conditions
	case *v1alpha1.PairingCode:
		return o.Status.Conditions
	case *v1alpha1.PairingRequest:
		return o.Status.Conditions
	}
	return nil
}

// waitForWarning waits for a warning Event about an object with the given reason and text.
func waitForWarning(t *testing.T, about client.Object, reason, text string) {
	t.Helper()
	patient.Succeeds(t, "there is a warning "+reason, func(ctx context.Context) error {
		var list eventsv1.EventList
		if err := shared.Client().List(ctx, &list, client.InNamespace(about.GetNamespace())); err != nil {
			return err
		}
		for _, event := range list.Items {
			if event.Regarding.Name == about.GetName() && event.Reason == reason && event.Type == corev1.EventTypeWarning && strings.Contains(event.Note, text) {
				return nil
			}
		}
		return fmt.Errorf("none of %d events", len(list.Items))
	})
}
