package plugin

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// codeOptions are the flags of "code".
type codeOptions struct {
	name         string
	labels       map[string]string
	capabilities []string
	ttl          seconds
	method       string
}

const codeExample = `  # a PIN for any machine, valid for ten minutes
  kubectl mooring code -n workshop

  # for one machine: its name, its labels and the most it may be granted
  kubectl mooring code --name press-3 --label hall=b --capability echo,system.health

  # for a script
  kubectl mooring code --ttl 1h -o json`

const codeLong = `Make a pairing code: an invitation for one machine.

Prints the code, the address of the gateway, and the line to run on the machine. Whoever knows the
code may ask to come in, once; an approver still decides.`

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
	_ = cmd.RegisterFlagCompletionFunc("method", cobra.FixedCompletions([]string{"PIN", "QR"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// spec is the invitation that the flags describe. What the API checks is left to the API.
func (o codeOptions) spec() (v1alpha1.PairingCodeSpec, error) {
	method := v1alpha1.PairingMethod(o.method)
	if method != v1alpha1.PairingMethodPIN && method != v1alpha1.PairingMethodQR {
		return v1alpha1.PairingCodeSpec{}, usagef("--method %q: choose PIN or QR", o.method)
	}
	spec := v1alpha1.PairingCodeSpec{Method: method, TTLSeconds: o.ttl.value, NodeName: o.name, Capabilities: o.capabilities}
	for key, value := range o.labels {
		if spec.NodeLabels == nil {
			spec.NodeLabels = map[string]v1alpha1.NodeLabelValue{}
		}
		spec.NodeLabels[key] = v1alpha1.NodeLabelValue(value)
	}
	return spec, nil
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
	if t.format != "" {
		return t.print(made)
	}
	_, err = fmt.Fprint(t.Out, made.text(t.now()))
	return err
}

// madeCode is what people and scripts need of a code.
type madeCode struct {
	Name        string                 `json:"name"`
	Namespace   string                 `json:"namespace"`
	Method      v1alpha1.PairingMethod `json:"method"`
	Code        string                 `json:"code,omitempty"`
	URI         string                 `json:"uri,omitempty"`
	Address     string                 `json:"address,omitempty"`
	ExpiresTime *metav1.Time           `json:"expiresTime,omitempty"`
	Command     string                 `json:"command,omitempty"`
}

// unknownAddress stands for the gateway when the controller was not told its address.
const unknownAddress = "GATEWAY:7443"

func (m madeCode) text(now time.Time) string {
	address, note := m.Address, ""
	if address == "" {
		address, note = "unknown", "\nThe controller was not told where machines reach the gateway (--advertise-pairing-endpoint): put the address in.\n"
	}
	expires := "unknown"
	if m.ExpiresTime != nil {
		expires = fmt.Sprintf("%s (in %s)", m.ExpiresTime.UTC().Format(time.DateTime+" MST"), until(now, m.ExpiresTime.Time))
	}
	if m.Method == v1alpha1.PairingMethodQR {
		return printable(fmt.Sprintf("Pairing URI:   %s\nGateway:       %s\nExpires:       %s\n", m.URI, address, expires))
	}
	return printable(fmt.Sprintf("Pairing code:  %s\nGateway:       %s\nExpires:       %s\n\nRun on the machine:\n\n  %s\n%s",
		m.Code, address, expires, m.Command, note))
}
