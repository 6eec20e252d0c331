package serviceaccount

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/internal/identity"
)

// Rule lets the agents of one ServiceAccount enroll in a fleet.
type Rule struct {
	// Key is NAMESPACE.ACCOUNT, the key in the ConfigMap.
	Key string `json:"-"`
	// Fleet is the namespace of their Nodes.
	Fleet string `json:"fleet"`
	// NodePrefix begins the names of their Nodes, so that these differ from the names of the core
	// Nodes. It has lower-case letters, digits and dashes, at most 30. Empty means no prefix.
	NodePrefix string `json:"nodePrefix,omitempty"`
	// Capabilities limits the grant: names or prefixes followed by ".*". Empty means all requested
	// capabilities.
	Capabilities []string `json:"capabilities,omitempty"`
}

// RuleFor returns the live rule for a holder from ConfigMap mooring-serviceaccounts. It returns
// *RefusedError when there is no usable rule.
func RuleFor(ctx context.Context, live client.Reader, systemNamespace string, holder Holder) (Rule, error) {
	rules := &corev1.ConfigMap{}
	key := client.ObjectKey{Namespace: systemNamespace, Name: v1alpha1.ServiceAccountRulesConfigMap}
	if err := live.Get(ctx, key, rules); err != nil && !apierrors.IsNotFound(err) {
		return Rule{}, fmt.Errorf("read the rules for ServiceAccounts: %w", err)
	}
	return findRule(rules.Data, holder)
}

// findRule returns the rule for a holder. Its key needs no escaping: a namespace has no dots, so the
// first dot ends it.
func findRule(rules map[string]string, holder Holder) (Rule, error) {
	key := holder.Namespace + "." + holder.Name
	text, ok := rules[key]
	if !ok {
		return Rule{}, refusedErrorf("no rule admits ServiceAccount %s: an operator can add key %s to ConfigMap %s", holder, key, v1alpha1.ServiceAccountRulesConfigMap)
	}
	rule := Rule{}
	if err := yaml.UnmarshalStrict([]byte(text), &rule); err != nil {
		return Rule{}, invalidRuleError(key, "it cannot be read: "+err.Error())
	}
	rule.Key = key
	switch {
	case !identity.IsLabel(rule.Fleet):
		return Rule{}, invalidRuleError(key, "fleet must name a namespace")
	case rule.Fleet == v1alpha1.SystemNamespace || rule.Fleet == v1alpha1.PairingNamespace:
		return Rule{}, invalidRuleError(key, "namespace "+rule.Fleet+" can be no fleet")
	case rule.NodePrefix != "" && !nodePrefixPattern.MatchString(rule.NodePrefix):
		return Rule{}, invalidRuleError(key, fmt.Sprintf("nodePrefix %q must be at most 30 lower-case letters, digits and dashes, and not begin with a dash", rule.NodePrefix))
	}
	for _, capability := range rule.Capabilities {
		if capability == "" || capabilityname.HasMisplacedStar(capability) {
			return Rule{}, invalidRuleError(key, fmt.Sprintf("capability %q is neither a name nor a prefix followed by .*", capability))
		}
	}
	return rule, nil
}

// NodeName returns the name of the Mooring Node on a core Node: the prefix of the rule, then the
// name of the core Node with dashes instead of dots. If two names become equal, the second machine
// is refused as NameTaken. NodeName returns *RefusedError when the result is no valid name of a
// Node.
func (r Rule) NodeName(core string) (string, error) {
	name := r.NodePrefix + strings.ReplaceAll(core, ".", "-")
	if !identity.IsLabel(name) {
		return "", refusedErrorf("node %q gives the name %q, which is not one of at most 63 lower-case letters, digits and dashes: "+
			"shorten nodePrefix of rule %s, or pair that machine with a code", core, name, r.Key)
	}
	return name, nil
}

func invalidRuleError(key, reason string) error {
	return refusedErrorf("rule %s of ConfigMap %s is not valid; an operator must correct it: %s", key, v1alpha1.ServiceAccountRulesConfigMap, reason)
}
