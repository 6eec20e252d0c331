package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign"
)

// codeTimeout bounds the wait for the controller, which usually needs well under a second.
const codeTimeout = 30 * time.Second

var errCodeTimeout = errors.New("no answer in time")

// awaitCode waits until the controller has created the Secret with the code, and reads it.
func (t *tool) awaitCode(ctx context.Context, f *fleet, code *v1alpha1.PairingCode) (*issuedCode, error) {
	waiting, cancel := context.WithTimeoutCause(ctx, codeTimeout, errCodeTimeout)
	defer cancel()
	latest, stalled := code, ""
	err := objectWatcher[v1alpha1.PairingCode, *v1alpha1.PairingCode]{
		fleet: f, list: &v1alpha1.PairingCodeList{},
		onConnectionLost: func(err error) { t.noticef("Lost the connection to the cluster (%v), retrying.", err) },
		isDone: func(c *v1alpha1.PairingCode) bool {
			latest = c
			if message := stalledMessage(c.Status.Conditions); message != "" && message != stalled {
				stalled = message
				t.noticef("pairing code %q waits: %s", c.Name, message)
			}
			return c.Status.SecretName != "" || isFinishedCode(c.Status.Phase)
		},
	}.wait(waiting, code)
	switch {
	case errors.Is(err, errCodeTimeout):
		return nil, codeNotReadyError(latest)
	case err != nil:
		return nil, fmt.Errorf("wait for pairing code %q: %w", code.Name, f.explainError(err, "pairingcodes"))
	case isFinishedCode(latest.Status.Phase):
		return nil, fmt.Errorf("pairing code %q is %s already: make another one", latest.Name, latest.Status.Phase)
	}
	return f.readCode(ctx, latest)
}

func (f *fleet) readCode(ctx context.Context, code *v1alpha1.PairingCode) (*issuedCode, error) {
	var secret corev1.Secret
	if err := f.get(ctx, code.Status.SecretName, &secret); err != nil {
		return nil, fmt.Errorf("pairing code %q was created, but cannot be read: %w\nDelete it, so that no other machine can use it: kubectl delete pcode %s -n %s",
			code.Name, f.explainError(err, "secrets"), code.Name, f.namespace)
	}
	if secret.Type != v1alpha1.SecretTypePairingCode {
		return nil, fmt.Errorf("secret %q is of type %q, not %q: Mooring did not create it; delete the code: kubectl delete pcode %s -n %s",
			secret.Name, secret.Type, v1alpha1.SecretTypePairingCode, code.Name, f.namespace)
	}
	issued := &issuedCode{
		Name: code.Name, Namespace: code.Namespace, Method: code.Spec.Method, ExpiresTime: code.Status.ExpiresTime,
		Code: string(secret.Data[v1alpha1.SecretKeyCode]), Address: string(secret.Data[v1alpha1.SecretKeyAddress]),
		AutoApprove: code.Spec.AutoApprove,
	}
	if code.Spec.ReplaceNode {
		issued.Replaces = code.Spec.NodeName
	}
	if issued.Method == v1alpha1.PairingMethodQR {
		issued.URI, issued.Command = string(secret.Data[v1alpha1.SecretKeyURI]), "mooring-agent run --pair -"
		return issued, nil
	}
	address := issued.Address
	if address == "" {
		address = unknownAddress
	}
	issued.Command = fmt.Sprintf("mooring-agent run --pairing %s --code %s", address, issued.Code)
	return issued, nil
}

// stalledMessage returns the reason why the controller cannot reconcile an object; "" if it can.
func stalledMessage(conditions []metav1.Condition) string {
	if stalled := meta.FindStatusCondition(conditions, v1alpha1.ConditionStalled); stalled != nil {
		return stalled.Message
	}
	return ""
}

func isFinishedCode(phase v1alpha1.PairingCodePhase) bool {
	switch phase {
	case v1alpha1.PairingCodeUsed, v1alpha1.PairingCodeExpired, v1alpha1.PairingCodeBurnt:
		return true
	}
	return false
}

// codeNotReadyError returns the error for a code that is not ready. It contains the message of the
// API server or of the controller if the status has one.
func codeNotReadyError(code *v1alpha1.PairingCode) error {
	if message := stalledMessage(code.Status.Conditions); message != "" {
		return fmt.Errorf("pairing code %q is not ready: %s", code.Name, message)
	}
	if ready := meta.FindStatusCondition(code.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		return fmt.Errorf("pairing code %q is not ready: %s", code.Name, foreign.CleanLine(ready.Message))
	}
	return fmt.Errorf("pairing code %q was created, but the controller has not answered for %s: is it running?\nSee: kubectl get pods -n %s, kubectl describe pcode %s -n %s; later: kubectl get pcode %s -n %s",
		code.Name, codeTimeout, v1alpha1.SystemNamespace, code.Name, code.Namespace, code.Name, code.Namespace)
}
