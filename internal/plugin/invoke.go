package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// invokeOptions holds the flags of "invoke".
type invokeOptions struct {
	input       string
	inputGiven  bool
	timeout     seconds
	expiry      seconds
	ttl         seconds
	wait        bool
	allowAbsent bool
	raw         bool
	name        string
}

const invokeLong = `Run a capability on a machine: make a CapabilityDispatch, wait for it, print its output.

The output goes to standard output, everything else to standard error; -o prints the whole dispatch
when it is finished. An offline machine receives it when it reconnects, until --expiry.
On a terminal, unsafe characters of the output are escaped, and each line of a text of several lines
has a mark. A pipe or a file gets the unchanged JSON; --raw prints the output itself.
Ctrl-C requests a cancellation and keeps waiting for the outcome; a second Ctrl-C exits.
With --name a command can be repeated after a lost connection: it follows an existing dispatch of
that name with the same request, and does not run it again. A different request is an error.

` + exitCodes

const invokeExample = `  kubectl mooring invoke press-3 echo --input '{"text":"hello"}' -n workshop
  kubectl mooring invoke press-3 system.health

  # input from a file, from a pipe
  kubectl mooring invoke press-3 echo --input @input.json
  jq '{text: .name}' order.json | kubectl mooring invoke press-3 echo --input -

  # a job of a pipeline: a repetition follows the first run
  kubectl mooring invoke press-3 system.health --name health-build-118

  # queue it for a machine that may be offline for days
  kubectl mooring invoke press-3 system.health --expiry 72h --wait=false`

func newInvoke(t *tool) *cobra.Command {
	o := invokeOptions{
		timeout: seconds{value: 30, min: 1, max: 86400},
		expiry:  seconds{value: 3600, min: 1, max: 604800},
		ttl:     seconds{value: 86400, min: 0, max: 31536000},
	}
	cmd := &cobra.Command{
		Use:               "invoke NODE CAPABILITY",
		Short:             "Run a capability on a machine and print its output",
		Long:              invokeLong,
		Example:           invokeExample,
		Args:              rangeArgs(2, 2),
		ValidArgsFunction: t.complete(completeInvoke),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.raw && (t.format != "" || !o.wait) {
				return usageErrorf("--raw prints the output alone: leave out -o and --wait=false")
			}
			o.inputGiven = cmd.Flags().Changed("input")
			return t.invoke(cmd.Context(), args[0], args[1], o)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.input, "input", "i", "", "a JSON object, @FILE, or - for standard input (default: none)")
	flags.Var(&o.timeout, "timeout", "run time on the machine, from 1s to 24h")
	flags.Var(&o.expiry, "expiry", "how long it may take until it starts, from 1s to 168h")
	flags.Var(&o.ttl, "ttl-after-finished", "how long the dispatch is kept when it is over, up to 8760h")
	flags.BoolVar(&o.wait, "wait", true, "wait for the outcome; --wait=false prints the name and returns")
	flags.BoolVar(&o.allowAbsent, "allow-absent", false, "queue it for a node that does not exist yet")
	flags.StringVar(&o.name, "name", "", "name of the dispatch; repeated, it follows the one that exists (default: a new name)")
	flags.BoolVar(&o.raw, "raw", false, "print the output as the machine sent it, a text without quotes; unsafe on a terminal")
	return cmd
}

// newDispatch returns the object that the flags describe. Without --name the server generates the
// name.
func newDispatch(f *fleet, node, capability string, o invokeOptions, stdin io.Reader) (*v1alpha1.CapabilityDispatch, error) {
	if err := checkCapability(capability); err != nil {
		return nil, err
	}
	input, err := readInput(o.input, o.inputGiven, stdin)
	if err != nil {
		return nil, err
	}
	prefix := strings.NewReplacer(".", "-", "_", "-").Replace(node + "-" + capability + "-")
	meta := f.objectMeta(prefix)
	if o.name != "" {
		meta.Name, meta.GenerateName = o.name, ""
	}
	return &v1alpha1.CapabilityDispatch{ObjectMeta: meta, Spec: v1alpha1.CapabilityDispatchSpec{
		NodeName: node, Capability: capability, Input: input,
		TimeoutSeconds: o.timeout.value, ExpirySeconds: o.expiry.value, TTLSecondsAfterFinished: &o.ttl.value,
	}}, nil
}

func (t *tool) invoke(ctx context.Context, node, capability string, o invokeOptions) error {
	f, err := t.access.open()
	if err != nil {
		return err
	}
	d, err := newDispatch(f, node, capability, o, t.In)
	if err != nil {
		return err
	}
	if err := t.checkNode(ctx, f, node, o); err != nil {
		return err
	}
	created, err := t.createOrGetDispatch(ctx, f, d)
	if err != nil {
		return err
	}
	if o.wait {
		return t.followDispatch(ctx, f, d, o.raw)
	}
	if t.format != "" {
		return t.printObject(d)
	}
	fmt.Fprintf(t.Out, "capabilitydispatch.mooring.dev/%s %s\n", d.Name, map[bool]string{true: "created", false: "unchanged"}[created])
	t.noticef("See its outcome: kubectl get cdisp %s -n %s", d.Name, d.Namespace)
	return nil
}

// checkNode returns an error for a mistyped name and prints a note about an expected delay. A
// person without the right to read Nodes can still invoke: the dispatch itself simply waits.
func (t *tool) checkNode(ctx context.Context, f *fleet, name string, o invokeOptions) error {
	node, err := f.node(ctx, name)
	var missing *nodeNotFoundError
	if errors.As(err, &missing) && !o.allowAbsent {
		return fmt.Errorf("%w; to queue it for a machine that is yet to be paired add --allow-absent", err)
	}
	if err == nil {
		if note := delayReason(node, o, t.now()); note != "" {
			t.noticef("%s", note)
		}
	}
	return nil // for any other error, the creation of the dispatch reports the problem if there is one
}

// delayReason returns the reason why a dispatch will not start at once; "" if none is known.
func delayReason(n *v1alpha1.Node, o invokeOptions, now time.Time) string {
	if n.Spec.DesiredState == v1alpha1.NodeSuspended {
		return fmt.Sprintf("Node %q is Suspended: nothing is delivered until it is Active again (at most %s, --expiry).", n.Name, o.expiry.String())
	}
	switch n.Status.Presence {
	case v1alpha1.PresenceOnline, v1alpha1.PresenceDegraded:
		return ""
	}
	presence := orDash(string(n.Status.Presence))
	if since := timeSince(now, timeOf(n.Status.Since)); since != "" {
		presence += " for " + since
	}
	return fmt.Sprintf("Node %q is %s: the dispatch waits for it (at most %s, --expiry).", n.Name, presence, o.expiry.String())
}
