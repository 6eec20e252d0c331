package plugin

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// decideOptions holds the flags of approve and deny.
type decideOptions struct {
	verdict      v1alpha1.Verdict
	reason       string
	capabilities []string
	yes          bool
	selection
}

const approveLong = `Approve the pairing requests of machines. A decision is final.

Shows each request and asks for a confirmation. Confirm only when the machine shows the same
verification code: it is derived from the machine's key, so an attacker in between cannot show it.
Use --yes only after comparing the codes. The command waits up to 5s for the controller, and returns
an error if the name is taken.

Name the requests, or choose among the requests that wait now: with --selector by the labels that
their codes give the Node (kubectl mooring code --label), with --all all of them. There is no
"latest".`

func newApprove(t *tool) *cobra.Command {
	o := decideOptions{verdict: v1alpha1.VerdictApproved}
	cmd := &cobra.Command{
		Use:   "approve NAME...",
		Short: "Approve pairing requests",
		Long:  approveLong,
		Example: `  # list the waiting requests, then decide
  kubectl mooring pending -n workshop
  kubectl mooring approve press-3-1f2e3d4c-k7qx2m -n workshop

  # grant less than the machine asked for, without a question
  kubectl mooring approve press-3-1f2e3d4c-k7qx2m --capability echo --yes --reason "ticket 17"

  # the machines of hall b, one question each; then all the others, their codes compared already
  kubectl mooring approve --selector hall=b -n workshop
  kubectl mooring approve --all --yes -n workshop`,
		Args:              func(_ *cobra.Command, args []string) error { return o.validate(args) },
		ValidArgsFunction: t.complete(t.completeRequests),
		RunE:              func(cmd *cobra.Command, args []string) error { return t.decideRequests(cmd.Context(), args, o) },
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().StringSliceVar(&o.capabilities, "capability", nil, "grant only these of the requested capabilities; repeatable (default: all)")
	cmd.Flags().StringVar(&o.reason, "reason", "", "the reason, stored with the decision")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask: the verification codes have been compared")
	return cmd
}

func newDeny(t *tool) *cobra.Command {
	o := decideOptions{verdict: v1alpha1.VerdictDenied, yes: true}
	cmd := &cobra.Command{
		Use:   "deny NAME... --reason TEXT",
		Short: "Deny pairing requests",
		Long: `Deny the pairing requests of machines. A decision is final; a denied machine needs a new code
to send another request. The machine shows the reason.`,
		Example:               `  kubectl mooring deny press-3-1f2e3d4c-k7qx2m --reason "the verification codes differ" -n workshop`,
		Args:                  rangeArgs(1, -1),
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     t.complete(t.completeRequests),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.reason == "" {
				return usageErrorf("give the reason with --reason TEXT: the machine shows it")
			}
			return t.decideRequests(cmd.Context(), args, o)
		},
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "the reason (required); the machine shows it")
	return cmd
}

// decideRequests decides about each request separately: an error for one request does not stop the
// others.
func (t *tool) decideRequests(ctx context.Context, names []string, o decideOptions) error {
	q := newQuestion(t.IOStreams)
	if !o.yes && !q.interactive {
		return usageErrorf("approving needs a person who compares the verification code with the machine's screen, and there is no terminal to ask on\n" +
			"When the codes have been compared, add --yes")
	}
	f, err := t.access.open()
	if err != nil {
		return err
	}
	if o.isSet() {
		if names, err = t.selectRequests(ctx, f, o.selection); err != nil {
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
	if t.format != "" && !o.isSet() && len(names) == 1 && len(decided.Items) == 1 {
		failures = append(failures, t.printObject(&decided.Items[0]))
	} else if t.format != "" && (o.isSet() || len(decided.Items) > 0) {
		failures = append(failures, t.printObject(&decided))
	}
	return errors.Join(failures...)
}
