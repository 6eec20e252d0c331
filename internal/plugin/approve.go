package plugin

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// decideOptions are the flags of approve and deny.
type decideOptions struct {
	verdict      v1alpha1.Verdict
	reason       string
	capabilities []string
	yes          bool
	selection
}

const approveLong = `Approve machines that asked to come in. A decision is final.

Shows each request and asks. Say yes only when the machine shows the same verification code: the
code is made from the machine's key, so nobody in between can show it. --yes is for those who have
compared it already. An approval waits up to 5s for the controller: a name that is taken ends in
an error.

Name the requests, or choose among those that wait now: with --selector by the labels that their
codes give the Node (kubectl mooring code --label), with --all every one. There is no "latest".`

func newApprove(t *tool) *cobra.Command {
	o := decideOptions{verdict: v1alpha1.VerdictApproved}
	cmd := &cobra.Command{
		Use:   "approve NAME...",
		Short: "Approve pairing requests",
		Long:  approveLong,
		Example: `  # see what waits, then decide
  kubectl mooring pending -n workshop
  kubectl mooring approve press-3-1f2e3d4c-k7qx2m -n workshop

  # grant less than the machine asked for, without a question
  kubectl mooring approve press-3-1f2e3d4c-k7qx2m --capability echo --yes --reason "ticket 17"

  # the machines of hall b, one question each; then all the others, their codes compared already
  kubectl mooring approve --selector hall=b -n workshop
  kubectl mooring approve --all --yes -n workshop`,
		Args:              func(_ *cobra.Command, args []string) error { return o.check(args) },
		ValidArgsFunction: t.complete(t.completeRequests),
		RunE:              func(cmd *cobra.Command, args []string) error { return t.decide(cmd.Context(), args, o) },
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().StringSliceVar(&o.capabilities, "capability", nil, "grant only these of the requested capabilities; repeatable (default: all)")
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, for the record")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask: the verification codes have been compared")
	return cmd
}

func newDeny(t *tool) *cobra.Command {
	o := decideOptions{verdict: v1alpha1.VerdictDenied, yes: true}
	cmd := &cobra.Command{
		Use:   "deny NAME... --reason TEXT",
		Short: "Deny pairing requests",
		Long: `Deny machines that asked to come in. A decision is final; a machine that was denied needs a
new code to ask again. The reason is shown on the machine.`,
		Example:               `  kubectl mooring deny press-3-1f2e3d4c-k7qx2m --reason "the verification codes differ" -n workshop`,
		Args:                  arguments(1, -1),
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     t.complete(t.completeRequests),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.reason == "" {
				return usagef("say why with --reason TEXT: it is shown on the machine")
			}
			return t.decide(cmd.Context(), args, o)
		},
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "why (required); shown on the machine")
	return cmd
}

// decide decides about each request by itself: one that cannot be decided does not hold up the rest.
func (t *tool) decide(ctx context.Context, names []string, o decideOptions) error {
	q := newQuestion(t.IOStreams)
	if !o.yes && !q.interactive {
		return usagef("approving needs a person who compares the verification code with the machine's screen, and there is no terminal to ask on\n" +
			"When the codes have been compared, add --yes")
	}
	f, err := t.access.open()
	if err != nil {
		return err
	}
	if o.chosen() {
		if names, err = t.choose(ctx, f, o.selection); err != nil {
			return err
		}
	}
	d := decider{tool: t, fleet: f, question: q, decideOptions: o}
	var decided v1alpha1.PairingRequestList
	var failures []error
	for _, name := range names {
		request, err := d.decideOne(ctx, name)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		decided.Items = append(decided.Items, *request)
	}
	if t.format != "" && !o.chosen() && len(names) == 1 && len(decided.Items) == 1 {
		failures = append(failures, t.print(&decided.Items[0]))
	} else if t.format != "" && (o.chosen() || len(decided.Items) > 0) {
		failures = append(failures, t.print(&decided))
	}
	return errors.Join(failures...)
}
