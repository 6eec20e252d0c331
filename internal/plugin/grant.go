package plugin

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

const grantLong = `Allow a machine that is already paired to be asked for more capabilities.

A machine can offer more after an update, but nobody may use it before an approver has said so:
the Node shows the condition CapabilityReviewRequired until then. The capabilities are added to
spec.capabilityPolicy.allow of the Node.`

func newGrant(t *tool) *cobra.Command {
	var capabilities []string
	cmd := &cobra.Command{
		Use:   "grant NODE --capability NAME...",
		Short: "Allow a machine more capabilities",
		Long:  grantLong,
		Example: `  # see what the machine offers and what is not granted, then grant it
  kubectl mooring nodes press-3 -n workshop
  kubectl mooring grant press-3 --capability camera.shot,system.* -n workshop`,
		Args:                  arguments(1, 1),
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     t.complete(completeOneNode),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkGrant(capabilities); err != nil {
				return err
			}
			return t.grant(cmd.Context(), args[0], capabilities)
		},
	}
	cmd.Flags().StringSliceVar(&capabilities, "capability", nil, "a capability or PREFIX.* (required); repeatable")
	return cmd
}

// grantPattern is that of spec.capabilityPolicy in the API.
var grantPattern = regexp.MustCompile(`^[a-z][a-z0-9_-]*([.][a-z][a-z0-9_-]*)*([.][*])?$`)

func checkGrant(capabilities []string) error {
	if len(capabilities) == 0 {
		return usagef("say what to grant with --capability NAME or --capability PREFIX.*")
	}
	for _, capability := range capabilities {
		if !grantPattern.MatchString(capability) {
			return usagef("%q is not the name of a capability, such as system.health, nor a family of them, such as system.*", capability)
		}
	}
	return nil
}

// grant adds to what the Node is allowed. The Node's status changes all the time, so a conflict
// means to read and decide again.
func (t *tool) grant(ctx context.Context, name string, capabilities []string) error {
	f, err := t.access.open()
	if err != nil {
		return err
	}
	for range conflictTries {
		node, err := f.node(ctx, name)
		if err != nil {
			return err
		}
		added, err := missingGrants(node, capabilities)
		if err != nil {
			return err
		}
		if len(added) == 0 {
			return t.granted(node, fmt.Sprintf("Node %q may already be asked for %s: nothing was changed.", name, orNothing(capabilities)))
		}
		patch, err := grantPatch(node, added)
		if err != nil {
			return err
		}
		err = f.Patch(ctx, node, client.RawPatch(types.MergePatchType, patch))
		if err == nil {
			return t.granted(node, fmt.Sprintf("Node %q may now be asked for %s.%s", name, orNothing(added), unoffered(node, added)))
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("grant capabilities to node %q: %w", name, f.explainGrant(err))
		}
	}
	return fmt.Errorf("node %q kept changing: try again", name)
}

func (t *tool) granted(node *v1alpha1.Node, said string) error {
	t.sayf("%s", said)
	if t.format != "" {
		return t.print(node)
	}
	return nil
}

// explainGrant knows that changing a Node takes two roles.
func (f *fleet) explainGrant(err error) error {
	if apierrors.IsForbidden(err) && refusedByPolicy(err) == "" {
		return fmt.Errorf("%w\nAsk for the verb patch on nodes.%s (the ClusterRole mooring-operator has it) besides the ClusterRole mooring-approver in namespace %q",
			err, v1alpha1.GroupName, f.namespace)
	}
	return f.explain(err, "nodes")
}

// missingGrants are those that the Node is not allowed yet. One that the Node is denied would
// change nothing, so it is an error.
func missingGrants(node *v1alpha1.Node, capabilities []string) ([]string, error) {
	var added []string
	for _, capability := range capabilities {
		if denied := coveredBy(node.Spec.CapabilityPolicy.Deny, capability); denied != "" {
			return nil, fmt.Errorf("node %q is denied %q, and a denial wins: to grant %q take it out of spec.capabilityPolicy.deny first: kubectl edit mnode %s -n %s",
				node.Name, denied, capability, node.Name, node.Namespace)
		}
		if coveredBy(node.Spec.CapabilityPolicy.Allow, capability) == "" && !slices.Contains(added, capability) {
			added = append(added, capability)
		}
	}
	return added, nil
}

// coveredBy is the entry of a policy that holds for a capability, or for all of a family.
func coveredBy(entries []string, capability string) string {
	for _, entry := range entries {
		family, isFamily := strings.CutSuffix(entry, "*")
		if entry == capability || (isFamily && strings.HasPrefix(capability, family)) {
			return entry
		}
	}
	return ""
}

// grantPatch is a merge patch that only fits the Node as it was read.
func grantPatch(node *v1alpha1.Node, added []string) ([]byte, error) {
	return jsontext.Marshal(map[string]any{
		"metadata": map[string]any{"uid": node.UID, "resourceVersion": node.ResourceVersion},
		"spec":     map[string]any{"capabilityPolicy": map[string]any{"allow": slices.Concat(node.Spec.CapabilityPolicy.Allow, added)}},
	})
}

// unoffered says which grants have no effect yet: a name may be mistyped.
func unoffered(node *v1alpha1.Node, added []string) string {
	var offered, idle []string
	for _, capability := range node.Status.Capabilities {
		offered = append(offered, capability.Name)
	}
	for _, entry := range added {
		only := v1alpha1.CapabilityPolicy{Allow: []string{entry}}
		if !slices.ContainsFunc(offered, func(name string) bool { return dispatch.Granted(only, name) }) {
			idle = append(idle, entry)
		}
	}
	if len(idle) == 0 {
		return ""
	}
	return fmt.Sprintf(" It does not offer %s now: it offers %s.", orNothing(idle), orNothing(offered))
}
