package plugin

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

const grantLong = `Allow a machine that is already paired to be asked for more capabilities.

A machine can offer more capabilities after an update, but they cannot be used until an approver
grants them. Until then the Node has the condition CapabilityReviewRequired. The command adds the
capabilities to spec.capabilityPolicy.allow of the Node.`

func newGrant(t *tool) *cobra.Command {
	var capabilities []string
	cmd := &cobra.Command{
		Use:   "grant NODE --capability NAME...",
		Short: "Allow a machine more capabilities",
		Long:  grantLong,
		Example: `  # list the offered and the granted capabilities, then grant more
  kubectl mooring nodes press-3 -n workshop
  kubectl mooring grant press-3 --capability camera.shot,system.* -n workshop`,
		Args:                  rangeArgs(1, 1),
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     t.complete(completeOneNode),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkGrant(capabilities); err != nil {
				return err
			}
			return t.grantCapabilities(cmd.Context(), args[0], capabilities)
		},
	}
	cmd.Flags().StringSliceVar(&capabilities, "capability", nil, "a capability or PREFIX.* (required); repeatable")
	return cmd
}

func checkGrant(capabilities []string) error {
	if len(capabilities) == 0 {
		return usageErrorf("name the capabilities with --capability NAME or --capability PREFIX.*")
	}
	for _, capability := range capabilities {
		if !capabilityname.ValidEntry(capability) {
			return usageErrorf("%q is not the name of a capability, such as system.health, nor a family of them, such as system.*", capability)
		}
	}
	return nil
}

// grantCapabilities adds capabilities to the policy of a Node. The Node's status changes often, so
// after a conflict grantCapabilities reads the Node and decides again.
func (t *tool) grantCapabilities(ctx context.Context, name string, capabilities []string) error {
	f, err := t.access.open()
	if err != nil {
		return err
	}
	for range maxConflictRetries {
		node, err := f.node(ctx, name)
		if err != nil {
			return err
		}
		added, err := findMissingGrants(node, capabilities)
		if err != nil {
			return err
		}
		if len(added) == 0 {
			return t.reportGrant(node, fmt.Sprintf("Node %q may already be asked for %s: nothing was changed.", name, joinOrNone(capabilities)))
		}
		patch, err := grantPatch(node, added)
		if err != nil {
			return err
		}
		err = f.Patch(ctx, node, client.RawPatch(types.MergePatchType, patch))
		if err == nil {
			return t.reportGrant(node, fmt.Sprintf("Node %q may now be asked for %s.%s", name, joinOrNone(added), unofferedMessage(node, added)))
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("grant capabilities to node %q: %w", name, f.explainGrantError(err))
		}
	}
	return fmt.Errorf("node %q kept changing: try again", name)
}

func (t *tool) reportGrant(node *v1alpha1.Node, message string) error {
	t.noticef("%s", message)
	if t.format != "" {
		return t.printObject(node)
	}
	return nil
}

// explainGrantError names both roles that changing the policy of a Node needs.
func (f *fleet) explainGrantError(err error) error {
	if apierrors.IsForbidden(err) && policyMessage(err) == "" {
		return fmt.Errorf("%w\nAsk for the verb patch on nodes.%s (the ClusterRole mooring-operator has it) in addition to the ClusterRole mooring-approver in namespace %q",
			err, v1alpha1.GroupName, f.namespace)
	}
	return f.explainError(err, "nodes")
}

// findMissingGrants returns the capabilities that the Node's policy does not allow yet. It returns
// an error for a capability that the policy denies, because granting it would have no effect.
func findMissingGrants(node *v1alpha1.Node, capabilities []string) ([]string, error) {
	var added []string
	for _, capability := range capabilities {
		if denied := capabilityname.FindCovering(node.Spec.CapabilityPolicy.Deny, capability); denied != "" {
			return nil, fmt.Errorf("node %q is denied %q, and a denial wins: to grant %q take it out of spec.capabilityPolicy.deny first: kubectl edit mnode %s -n %s",
				node.Name, denied, capability, node.Name, node.Namespace)
		}
		if capabilityname.FindCovering(node.Spec.CapabilityPolicy.Allow, capability) == "" && !slices.Contains(added, capability) {
			added = append(added, capability)
		}
	}
	return added, nil
}

// grantPatch returns a merge patch that the server applies only to the version of the Node that was
// read.
func grantPatch(node *v1alpha1.Node, added []string) ([]byte, error) {
	return jsontext.Marshal(map[string]any{
		"metadata": map[string]any{"uid": node.UID, "resourceVersion": node.ResourceVersion},
		"spec":     map[string]any{"capabilityPolicy": map[string]any{"allow": slices.Concat(node.Spec.CapabilityPolicy.Allow, added)}},
	})
}

// unofferedMessage returns a sentence that lists the grants without an effect yet, since a name may
// be mistyped; it returns "" if there are none.
func unofferedMessage(node *v1alpha1.Node, added []string) string {
	var offered, ineffective []string
	for _, capability := range node.Status.Capabilities {
		offered = append(offered, capability.Name)
	}
	for _, entry := range added {
		only := v1alpha1.CapabilityPolicy{Allow: []string{entry}}
		if !slices.ContainsFunc(offered, func(name string) bool { return dispatch.Granted(only, name) }) {
			ineffective = append(ineffective, entry)
		}
	}
	if len(ineffective) == 0 {
		return ""
	}
	return fmt.Sprintf(" It does not offer %s now: it offers %s.", joinOrNone(ineffective), joinOrNone(offered))
}
