package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// codeOptions holds the flags of "code".
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

  # for a reinstalled machine: it takes over the Node press-3
  kubectl mooring code --name press-3 --replace

  # for a script
  kubectl mooring code --ttl 1h -o json`

const codeLong = `Make a pairing code: an invitation for one machine.

Prints the code, the address of the gateway, and the command to run on the machine. A machine with
the code can send one pairing request. An approver still decides, unless --auto-approve is set.

With --method QR the code is a URI, drawn as a QR code, with a secret too long to guess and the
fingerprint of the gateways' CA. The machine connects to no other server.

--replace and --auto-approve decide in advance, so they need the right to approve.`

func newCode(t *tool) *cobra.Command {
	o := codeOptions{ttl: seconds{value: 600, min: 30, max: 86400}}
	cmd := &cobra.Command{
		Use:               "code",
		Short:             "Make a pairing code for a machine",
		Long:              codeLong,
		Example:           codeExample,
		Args:              rangeArgs(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return t.createCode(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", "", "name of the Node (default: the machine asks for one)")
	flags.StringToStringVar(&o.labels, "label", nil, "label of the Node, KEY=VALUE; repeatable")
	flags.StringSliceVar(&o.capabilities, "capability", nil, "the most an approval may grant: a capability or PREFIX.*; repeatable (default: no limit)")
	flags.Var(&o.ttl, "ttl", "how long the code is valid, from 30s to 24h")
	flags.StringVar(&o.method, "method", string(v1alpha1.PairingMethodPIN), "PIN, for a person to type, or QR, a URI for a machine to scan")
	flags.BoolVar(&o.replace, "replace", false, "let the machine take over the Node of --name with its labels, policy and queue")
	flags.BoolVar(&o.autoApprove, "auto-approve", false, "approve the machine automatically (only with --method QR)")
	flags.StringVar(&o.png, "png", "", "also write the QR code to this `FILE`, readable only by you (0600)")
	flags.BoolVar(&o.force, "force", false, "let --png replace a file that exists")
	_ = cmd.RegisterFlagCompletionFunc("method", cobra.FixedCompletions([]string{"PIN", "QR"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// spec returns the PairingCodeSpec that the flags describe. The API server validates the rest.
func (o codeOptions) spec() (v1alpha1.PairingCodeSpec, error) {
	method := v1alpha1.PairingMethod(strings.ToUpper(o.method))
	if method != v1alpha1.PairingMethodPIN && method != v1alpha1.PairingMethodQR {
		return v1alpha1.PairingCodeSpec{}, usageErrorf("--method %q: choose PIN or QR", o.method)
	}
	if err := o.validate(method); err != nil {
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

// validate rejects flags that cannot be combined.
func (o codeOptions) validate(method v1alpha1.PairingMethod) error {
	qr := method == v1alpha1.PairingMethodQR
	switch {
	case o.autoApprove && !qr:
		return usageErrorf("--auto-approve needs --method QR: a PIN is too short for automatic approval")
	case o.replace && o.name == "":
		return usageErrorf("--replace needs --name NODE: the Node that the machine takes over")
	case o.png != "" && !qr:
		return usageErrorf("--png needs --method QR: a PIN has no picture")
	case o.force && o.png == "":
		return usageErrorf("--force needs --png FILE: the file that may be replaced")
	}
	return nil
}

func (t *tool) createCode(ctx context.Context, o codeOptions) error {
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
		return fmt.Errorf("make a pairing code: %w", f.explainError(err, "pairingcodes"))
	}
	issued, err := t.awaitCode(ctx, f, code)
	if err != nil {
		return err
	}
	return t.showCode(issued, png)
}

// showCode shows the code to the person. It does so even when the picture cannot be written,
// because the code cannot be requested a second time.
func (t *tool) showCode(issued *issuedCode, png *pngFile) error {
	var qr picture
	var err error
	if issued.Method == v1alpha1.PairingMethodQR {
		if qr, err = newPicture(issued.URI); err != nil {
			return err
		}
	}
	var writeErr error
	if png != nil {
		if writeErr = png.write(qr.png); writeErr == nil {
			issued.Picture = png.path
		}
	}
	if t.format != "" {
		return errors.Join(t.printObject(issued), writeErr)
	}
	if issued.Method == v1alpha1.PairingMethodQR {
		if err := qr.show(t.Out); err != nil {
			return err
		}
	}
	_, err = fmt.Fprint(t.Out, issued.text(t.now()))
	return errors.Join(err, writeErr)
}
