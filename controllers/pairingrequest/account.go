package pairingrequest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/controllers/step"
	"github.com/mooring-dev/mooring/internal/serviceaccount"
)

// tokenMaxAge is how long a token waits for its request, about its own lifetime; older tokens are
// deleted.
const tokenMaxAge = time.Hour

// accountChecker checks requests of method ServiceAccount. It trusts no gateway: it reviews the
// stored token again, and only the token's account and node and the rules count.
type accountChecker struct {
	client                            client.Client
	live                              client.Reader
	systemNamespace, pairingNamespace string
	audience                          string
	clock                             clock.PassiveClock
}

func newAccountChecker(mgr ctrl.Manager, options Options) accountChecker {
	return accountChecker{
		client: mgr.GetClient(), live: mgr.GetAPIReader(), clock: options.Clock,
		systemNamespace: options.SystemNamespace, pairingNamespace: options.PairingNamespace,
		audience: cmp.Or(options.ServiceAccountAudience, serviceaccount.DefaultAudience),
	}
}

// check reviews the token of a new request. Later it checks only the rule: the phase, which only
// the controller writes, shows that the token was valid. It stores the rule in the scope as the
// PairingCode that it stands for, so that the further steps are the same for every request.
func (a accountChecker) check(ctx context.Context, s *scope) step.Outcome {
	request, account := s.request, s.request.Spec.ServiceAccount
	if account == nil {
		return refuseAccount("the request names no ServiceAccount")
	}
	if account.NodeUID == "" {
		return refuseAccount("the request lacks the UID of its core node: update the CRDs and the gateways to the version of the controller")
	}
	holder := serviceaccount.Holder{Namespace: account.Namespace, Name: account.Name, Node: account.Node, NodeUID: account.NodeUID}
	if request.Status.Phase == "" {
		reviewed, err := a.review(ctx, request)
		if err != nil {
			return refuseOrFail(err)
		}
		if reviewed != holder {
			return refuseAccount("the token is of ServiceAccount %s on node %q, UID %s: do not trust the gateway that wrote this request",
				reviewed, reviewed.Node, reviewed.NodeUID)
		}
	}
	rule, err := serviceaccount.RuleFor(ctx, a.live, a.systemNamespace, holder)
	if err != nil {
		return refuseOrFail(err)
	}
	if refused := checkAccount(request, holder, rule); refused != nil {
		return step.Refuse(refused)
	}
	s.code = &v1alpha1.PairingCode{
		ObjectMeta: metav1.ObjectMeta{Namespace: rule.Fleet, Name: rule.Key},
		Spec:       v1alpha1.PairingCodeSpec{AutoApprove: true, Capabilities: rule.Capabilities},
	}
	return step.Continue()
}

// checkAccount compares a request with the rule for its account and with the node of its token.
func checkAccount(request *v1alpha1.PairingRequest, holder serviceaccount.Holder, rule serviceaccount.Rule) *status.Reason {
	name, err := rule.NodeName(holder.Node)
	switch {
	case err != nil:
		return status.Reasonf(v1alpha1.ReasonServiceAccountRefused, "%v", err)
	case rule.Fleet != request.Namespace:
		return status.Reasonf(v1alpha1.ReasonServiceAccountRefused, "rule %s admits ServiceAccount %s to fleet %q, not to this one", rule.Key, holder, rule.Fleet)
	case name != request.Spec.NodeName:
		return status.Reasonf(v1alpha1.ReasonServiceAccountRefused, "the token is bound to node %q, so the Node must be %q", holder.Node, name)
	default:
		return nil
	}
}

func refuseAccount(format string, args ...any) step.Outcome {
	return step.Refuse(status.Reasonf(v1alpha1.ReasonServiceAccountRefused, format, args...))
}

// refuseOrFail ends a check with a refusal for users, or with an error that may be temporary.
func refuseOrFail(err error) step.Outcome {
	if refusedErr := (*serviceaccount.RefusedError)(nil); errors.As(err, &refusedErr) {
		return refuseAccount("%s", refusedErr.Text)
	}
	return step.Fail(err)
}

func (a accountChecker) review(ctx context.Context, request *v1alpha1.PairingRequest) (serviceaccount.Holder, error) {
	secret := &corev1.Secret{}
	err := a.live.Get(ctx, a.tokenKey(request), secret)
	if client.IgnoreNotFound(err) != nil {
		return serviceaccount.Holder{}, fmt.Errorf("read the token of request %s/%s: %w", request.Namespace, request.Name, err)
	}
	if err != nil || secret.Type != v1alpha1.SecretTypeServiceAccountToken {
		return serviceaccount.Holder{}, &serviceaccount.RefusedError{Text: "there is no token behind this request, or it waited too long: start the agent again"}
	}
	return serviceaccount.Review(ctx, a.client, string(secret.Data[v1alpha1.TokenKey]), a.audience)
}

func (a accountChecker) tokenKey(request *v1alpha1.PairingRequest) client.ObjectKey {
	return client.ObjectKey{Namespace: a.pairingNamespace, Name: v1alpha1.TokenSecretName(request.Namespace, request.Name)}
}

// deleteTokens deletes the token of a request that was checked, and tokens whose request never
// arrived.
func (a accountChecker) deleteTokens(ctx context.Context, request *v1alpha1.PairingRequest) error {
	if request.Spec.Method != v1alpha1.PairingMethodServiceAccount || (request.Status.Phase == "" && request.DeletionTimestamp.IsZero()) {
		return nil
	}
	var list corev1.SecretList
	if err := a.client.List(ctx, &list, client.InNamespace(a.pairingNamespace)); err != nil {
		return fmt.Errorf("list tokens: %w", err)
	}
	own := a.tokenKey(request).Name
	for i := range list.Items {
		secret := &list.Items[i]
		old := a.clock.Now().Sub(secret.CreationTimestamp.Time) > tokenMaxAge
		if secret.Type != v1alpha1.SecretTypeServiceAccountToken || (secret.Name != own && !old) {
			continue
		}
		if err := a.client.Delete(ctx, secret, client.Preconditions{UID: &secret.UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete the token %s: %w", secret.Name, err)
		}
	}
	return nil
}

// accountReason returns the reason that is recorded for a decision of a rule.
func accountReason(request *v1alpha1.PairingRequest, rule *v1alpha1.PairingCode) string {
	account := request.Spec.ServiceAccount
	return fmt.Sprintf("rule %s of ConfigMap %s admits ServiceAccount %s/%s on node %s",
		rule.Name, v1alpha1.ServiceAccountRulesConfigMap, account.Namespace, account.Name, account.Node)
}
