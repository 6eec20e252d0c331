package plugin

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/capabilityname"
)

const canILong = `Ask whether you may invoke a capability in a namespace.

"kubectl auth can-i" cannot ask this: the right is the verb invoke on the virtual resource
capabilities.mooring.dev, for the name of the capability or for its first segment and ".*". As in
the grant of a Node, echo.* holds for echo.loud and not for echo.
Prints yes or no; the exit code is 0 for yes and 1 for no.`

func newCanI(t *tool) *cobra.Command {
	return &cobra.Command{
		Use:   "can-i invoke CAPABILITY",
		Short: "Ask whether you may invoke a capability",
		Long:  canILong,
		Example: `  kubectl mooring can-i invoke system.health -n workshop
  kubectl mooring can-i invoke echo --as ivan -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := rangeArgs(2, 2)(cmd, args); err != nil {
				return err
			}
			if args[0] != v1alpha1.VerbInvoke {
				return usageErrorf("unknown verb %q: only invoke can be asked for; for others use: kubectl auth can-i %s", args[0], args[0])
			}
			return checkCapability(args[1])
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return []string{v1alpha1.VerbInvoke}, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return t.canInvoke(cmd.Context(), args[1]) },
	}
}

func checkCapability(name string) error {
	if !capabilityname.Valid(name) {
		return usageErrorf("%q is not the name of a capability: write a dotted lower-case name such as echo or system.health", name)
	}
	return nil
}

// canInvokeResult is the json and yaml output of can-i.
type canInvokeResult struct {
	Allowed    bool   `json:"allowed"`
	Namespace  string `json:"namespace"`
	Capability string `json:"capability"`
}

func (t *tool) canInvoke(ctx context.Context, capability string) error {
	f, err := t.access.open()
	if err != nil {
		return err
	}
	answer := canInvokeResult{Namespace: f.namespace, Capability: capability}
	for _, name := range capabilityname.RoleNames(capability) {
		if answer.Allowed, err = f.isAllowed(ctx, v1alpha1.VerbInvoke, v1alpha1.ResourceCapabilities, name); err != nil || answer.Allowed {
			break
		}
	}
	if err != nil {
		return err
	}
	if answer.Allowed {
		if creates, err := f.isAllowed(ctx, "create", "capabilitydispatches", ""); err == nil && !creates {
			t.noticef("But you may not create capabilitydispatches in namespace %q: ask for %s.", f.namespace, grantingRoles["capabilitydispatches"])
		}
	}
	return t.printAnswer(answer)
}

func (t *tool) printAnswer(answer canInvokeResult) error {
	word := map[bool]string{true: "yes", false: "no"}[answer.Allowed]
	if t.format == "" {
		fmt.Fprintln(t.Out, word)
	} else if err := t.printObject(answer); err != nil {
		return err
	}
	if answer.Allowed {
		return nil
	}
	t.noticef("Ask for a Role in namespace %q with verb invoke on resource capabilities of mooring.dev, resourceNames %q.",
		answer.Namespace, capabilityname.RoleNames(answer.Capability))
	return &exitError{code: exitGeneral}
}

// isAllowed asks the API server whether the person has a permission.
func (f *fleet) isAllowed(ctx context.Context, verb, resource, name string) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: f.namespace, Verb: verb, Group: v1alpha1.GroupName, Resource: resource, Name: name,
		},
	}}
	if err := f.Create(ctx, review); err != nil {
		return false, fmt.Errorf("ask the server what you may do: %w", f.explainError(err, "selfsubjectaccessreviews"))
	}
	return review.Status.Allowed, nil
}
