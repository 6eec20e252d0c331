package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// codeOptions are the flags of "code".
type codeOptions struct {
	name         string
	labels       map[string]string
	capabilities []string
	ttl          seconds
	method       string
	replace      bool
	autoApprove  bool
	png          string
	force        bool
}

const codeExample = `  # a PIN for any machine, valid for ten minutes
  kubectl mooring code -n workshop

  # for one machine: its name, its labels and the most it may be granted
  kubectl mooring code --name press-3 --label hall=b --capability echo,system.health

  # a QR code, in the terminal and as a picture
  kubectl mooring code --method QR --png press-3.png

  # for a machine that was installed anew: it becomes press-3 again
  kubectl mooring code --name press-3 --replace

  # for a script
  kubectl mooring code --ttl 1h -o json`

const codeLong = `Make a pairing code: an invitation for one machine.

Prints the code, the address of the gateway, and the line to run on the machine. Whoever knows the
code may ask to come in, once; an approver still decides, unless the code says --auto-approve.

With --method QR the code is a URI, drawn as a QR code, with a secret too long to guess and the
fingerprint of the gateways' CA: the machine talks to no other server.

--replace and --auto-approve decide about a machine beforehand: they need the right to approve.`

func newCode(t *tool) *cobra.Command {
	o := codeOptions{ttl: seconds{value: 600, min: 30, max: 86400}}
	cmd := &cobra.Command{
		Use:               "code",
		Short:             "Make a pairing code for a machine",
		Long:              codeLong,
		Example:           codeExample,
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return t.code(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", "", "name of the Node (default: the machine asks for one)")
	flags.StringToStringVar(&o.labels, "label", nil, "label of the Node, KEY=VALUE; repeatable")
	flags.StringSliceVar(&o.capabilities, "capability", nil, "the most an approval may grant: a capability or PREFIX.*; repeatable (default: no limit)")
	flags.Var(&o.ttl, "ttl", "how long the code is valid, from 30s to 24h")
	flags.StringVar(&o.method, "method", string(v1alpha1.PairingMethodPIN), "PIN, for a person to type, or QR, a URI for a machine to scan")
	flags.BoolVar(&o.replace, "replace", false, "let the machine take over the Node of --name with its labels, policy and queue")
	flags.BoolVar(&o.autoApprove, "auto-approve", false, "let the machine in without a question (only with --method QR)")
	flags.StringVar(&o.png, "png", "", "write the QR code to this `FILE` too, for your eyes only (0600)")
	flags.BoolVar(&o.force, "force", false, "let --png replace a file that exists")
	_ = cmd.RegisterFlagCompletionFunc("method", cobra.FixedCompletions([]string{"PIN", "QR"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// spec is the invitation that the flags describe. What the API checks is left to the API.
func (o codeOptions) spec() (v1alpha1.PairingCodeSpec, error) {
	method := v1alpha1.PairingMethod(strings.ToUpper(o.method))
	if method != v1alpha1.PairingMethodPIN && method != v1alpha1.PairingMethodQR {
		return v1alpha1.PairingCodeSpec{}, usagef("--method %q: choose PIN or QR", o.method)
	}
	if err := o.check(method); err != nil {
		return v1alpha1.PairingCodeSpec{}, err
	}
	spec := v1alpha1.PairingCodeSpec{Method: method, TTLSeconds: o.ttl.value, NodeName: o.name, Capabilities: o.capabilities,
		ReplaceNode: o.replace, AutoApprove: o.autoApprove}
	for key, value := range o.labels {
		if spec.NodeLabels == nil {
			spec.NodeLabels = map[string]v1alpha1.NodeLabelValue{}
		}
		spec.NodeLabels[key] = v1alpha1.NodeLabelValue(value)
	}
	return spec, nil
}

// check refuses flags that do not go together.
func (o codeOptions) check(method v1alpha1.PairingMethod) error {
	qr := method == v1alpha1.PairingMethodQR
	switch {
	case o.autoApprove && !qr:
		return usagef("--auto-approve needs --method QR: a PIN is too short to let a machine in by itself")
	case o.replace && o.name == "":
		return usagef("--replace needs --name NODE: the Node that the machine takes over")
	case o.png != "" && !qr:
		return usagef("--png needs --method QR: a PIN has no picture")
	case o.force && o.png == "":
		return usagef("--force needs --png FILE: the file that may be replaced")
	}
	return nil
}

func (t *tool) code(ctx context.Context, o codeOptions) error {
	spec, err := o.spec()
	if err != nil {
		return err
	}
	f, err := t.access.open()
	if err != nil {
		return err
	}
	var png *pngFile
	if o.png != "" {
		if png, err = newPNGFile(o.png, o.force); err != nil {
			return err
		}
		defer png.discard()
	}
	prefix := "code-"
	if o.name != "" {
		prefix = o.name + "-"
	}
	code := &v1alpha1.PairingCode{ObjectMeta: f.objectMeta(prefix), Spec: spec}
	if err := f.Create(ctx, code); err != nil {
		return fmt.Errorf("make a pairing code: %w", f.explain(err, "pairingcodes"))
	}
	made, err := t.awaitCode(ctx, f, code)
	if err != nil {
		return err
	}
	return t.handOut(made, png)
}

// handOut shows the code to the person who asked for it, on the screen even when the picture
// cannot be written: it cannot be asked for again.
func (t *tool) handOut(made *madeCode, png *pngFile) error {
	var drawn picture
	var err error
	if made.Method == v1alpha1.PairingMethodQR {
		if drawn, err = newPicture(made.URI); err != nil {
			return err
		}
	}
	var unwritten error
	if png != nil {
		if unwritten = png.write(drawn.png); unwritten == nil {
			made.Picture = png.path
		}
	}
	if t.format != "" {
		return errors.Join(t.print(made), unwritten)
	}
	if made.Method == v1alpha1.PairingMethodQR {
		if err := drawn.show(t.Out); err != nil {
			return err
		}
	}
	_, err = fmt.Fprint(t.Out, made.text(t.now()))
	return errors.Join(err, unwritten)
}
