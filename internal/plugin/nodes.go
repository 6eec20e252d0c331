package plugin

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func newNodes(t *tool) *cobra.Command {
	return &cobra.Command{
		Use:     "nodes [NAME]",
		Aliases: []string{"node"},
		Short:   "List the machines of a fleet, or describe one",
		Long: `List the machines of a fleet, or describe one with its capabilities.

These are Mooring's Nodes; with kubectl they are called mnode, because "node" means the workers of
the cluster there.`,
		Example: `  kubectl mooring nodes -n workshop
  kubectl mooring nodes press-3
  kubectl mooring nodes press-3 -o yaml`,
		Args:              rangeArgs(0, 1),
		ValidArgsFunction: t.complete(completeOneNode),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := t.access.open()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return t.describeNode(cmd.Context(), f, args[0])
			}
			return t.listNodes(cmd.Context(), f)
		},
	}
}

func (t *tool) listNodes(ctx context.Context, f *fleet) error {
	var list v1alpha1.NodeList
	if err := f.list(ctx, &list); err != nil {
		return fmt.Errorf("list nodes: %w", f.explainError(err, "nodes"))
	}
	if t.format != "" {
		return t.printObject(&list)
	}
	if len(list.Items) == 0 {
		if err := f.checkNamespace(ctx); err != nil {
			return err
		}
		t.noticef("No machine is paired in namespace %q. Invite one: kubectl mooring code -n %s", f.namespace, f.namespace)
		return nil
	}
	return printTable(t.Out, nodesHeader, nodeRows(list.Items, t.now()))
}

var nodesHeader = []string{"NAME", "PRESENCE", "TRUST", "PLATFORM", "CAPABILITIES", "SINCE", "AGE"}

func nodeRows(nodes []v1alpha1.Node, now time.Time) [][]string {
	var rows [][]string
	for _, n := range nodes {
		rows = append(rows, []string{
			n.Name, string(n.Status.Presence), string(n.Status.Trust), platform(n.Status.System), n.Status.CapabilitySummary,
			timeSince(now, timeOf(n.Status.Since)), timeSince(now, n.CreationTimestamp.Time),
		})
	}
	return rows
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

func (t *tool) describeNode(ctx context.Context, f *fleet, name string) error {
	node, err := f.node(ctx, name)
	if err != nil {
		return err
	}
	if t.format != "" {
		return t.printObject(node)
	}
	if _, err := fmt.Fprint(t.Out, nodeText(node, t.now())); err != nil {
		return err
	}
	rows := capabilityRows(node)
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintln(t.Out)
	return printTable(t.Out, capabilityHeader, rows)
}

// node reads one Node; if the name does not exist, the error lists the names that do.
func (f *fleet) node(ctx context.Context, name string) (*v1alpha1.Node, error) {
	var node v1alpha1.Node
	err := f.get(ctx, name, &node)
	if apierrors.IsNotFound(err) && !isNotInstalled(err) {
		return nil, &nodeNotFoundError{f.notFoundError(ctx, "node", name, nodeNames(ctx, f), "Another fleet? Choose its namespace with -n")}
	}
	if err != nil {
		return nil, fmt.Errorf("read node %q: %w", name, f.explainError(err, "nodes"))
	}
	return &node, nil
}

// nodeNotFoundError is the error for the name of a Node that does not exist.
type nodeNotFoundError struct{ error }
