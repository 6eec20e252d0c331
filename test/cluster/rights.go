package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
)

// ListRights asks the API server, as "kubectl auth can-i --list" does, for the rights of a token of an
// account of the system namespace in a namespace. It returns one line per resource, each after
// title. It leaves out the rights of every account (discovery, reviews of its own rights).
func (c *Cluster) ListRights(ctx context.Context, account, namespace, title string) ([]string, error) {
	own, err := c.rulesOf(ctx, account, namespace)
	if err != nil {
		return nil, err
	}
	common, err := c.rulesOf(ctx, "default", namespace)
	if err != nil {
		return nil, err
	}
	commonRights := map[string]bool{}
	for _, rule := range RightsLines(title, common) {
		commonRights[rule] = true
	}
	return slices.DeleteFunc(RightsLines(title, own), func(line string) bool { return commonRights[line] }), nil
}

func (c *Cluster) rulesOf(ctx context.Context, account, namespace string) ([]authorizationv1.ResourceRule, error) {
	access, err := c.ServiceAccountConfig(ctx, v1alpha1.SystemNamespace, account)
	if err != nil {
		return nil, err
	}
	as, err := client.New(access, client.Options{Scheme: controlplane.Scheme(), Mapper: c.Client().RESTMapper()})
	if err != nil {
		return nil, err
	}
	review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}
	if err := as.Create(ctx, review); err != nil {
		return nil, fmt.Errorf("ask for the rights of %s: %w", account, err)
	}
	if review.Status.Incomplete {
		return nil, fmt.Errorf("the API server does not know all rights of %s: %s", account, review.Status.EvaluationError)
	}
	return review.Status.ResourceRules, nil
}

// RightsLines returns one line for each resource of rules.
func RightsLines(title string, rules []authorizationv1.ResourceRule) []string {
	var lines []string
	for _, rule := range rules {
		verbs := slices.Sorted(slices.Values(rule.Verbs))
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				line := fmt.Sprintf("%s: %s/%s", title, group, resource)
				if len(rule.ResourceNames) > 0 {
					line += fmt.Sprintf(" %v", slices.Sorted(slices.Values(rule.ResourceNames)))
				}
				lines = append(lines, line+": "+strings.Join(verbs, " "))
			}
		}
	}
	return lines
}
