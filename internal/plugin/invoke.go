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

// invokeOptions are the flags of "invoke".
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

The output goes to standard output, everything else to standard error; with -o the whole dispatch is
printed when it is over. A machine that is offline gets it when it is back, until --expiry.
On a terminal, characters of the output that could act on it are escaped, and several lines of text
stand behind a mark. A pipe or a file gets the JSON as it is; --raw prints the output itself.
Ctrl-C asks to cancel and goes on waiting for the truth; a second one leaves.
With --name a command can be repeated after a lost connection: a dispatch of that name that asks for
the same is followed, not run again; one that asks for something else is an error.

` + exitCodes

const invokeExample = `  kubectl mooring invoke press-3 echo --input '{"text":"hello"}' -n workshop
  kubectl mooring invoke press-3 system.health

  # input from a file, from a pipe
  kubectl mooring invoke press-3 echo --input @input.json
  jq '{text: .name}' order.json | kubectl mooring invoke press-3 echo --input -

  # a job of a pipeline: repeated, it follows the first run
  kubectl mooring invoke press-3 system.health --name health-build-118

  # leave it in the mailbox of a machine that may be off for days
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
		Args:              arguments(2, 2),
		ValidArgsFunction: t.complete(completeInvoke),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.raw && (t.format != "" || !o.wait) {
				return usagef("--raw prints the output alone: leave out -o and --wait=false")
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

// newDispatch is the object that the flags describe. Without --name the server chooses the name.
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
	if err := t.lookAtNode(ctx, f, node, o); err != nil {
		return err
	}
	made, err := t.makeDispatch(ctx, f, d)
	if err != nil {
		return err
	}
	if o.wait {
		return t.follow(ctx, f, d, o.raw)
	}
	if t.format != "" {
		return t.print(d)
	}
	fmt.Fprintf(t.Out, "capabilitydispatch.mooring.dev/%s %s\n", d.Name, map[bool]string{true: "created", false: "unchanged"}[made])
	t.sayf("See what became of it: kubectl get cdisp %s -n %s", d.Name, d.Namespace)
	return nil
}

// lookAtNode catches a mistyped name and says why it may take a while. The dispatch itself would
// simply wait; somebody who may not read Nodes is not held up.
func (t *tool) lookAtNode(ctx context.Context, f *fleet, name string, o invokeOptions) error {
	node, err := f.node(ctx, name)
	var missing *missingNode
	if errors.As(err, &missing) && !o.allowAbsent {
		return fmt.Errorf("%w; to queue it for a machine that is yet to be paired add --allow-absent", err)
	}
	if err == nil {
		if note := delay(node, o, t.now()); note != "" {
			t.sayf("%s", note)
		}
	}
	return nil // after another error, creating the dispatch says what is wrong, if anything is
}

// delay says why a dispatch will not start at once; empty if nothing is known to hold it up.
func delay(n *v1alpha1.Node, o invokeOptions, now time.Time) string {
	if n.Spec.DesiredState == v1alpha1.NodeSuspended {
		return fmt.Sprintf("Node %q is Suspended: nothing is delivered until it is Active again (at most %s, --expiry).", n.Name, o.expiry.String())
	}
	switch n.Status.Presence {
	case v1alpha1.PresenceOnline, v1alpha1.PresenceDegraded:
		return ""
	}
	presence := orDash(string(n.Status.Presence))
	if since := since(now, timeOf(n.Status.Since)); since != "" {
		presence += " for " + since
	}
	return fmt.Sprintf("Node %q is %s: the dispatch waits for it (at most %s, --expiry).", n.Name, presence, o.expiry.String())
}
