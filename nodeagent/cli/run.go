package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/nodeagent"
	"github.com/mooring-dev/mooring/nodeagent/hostinfo"
)

// flags are the flags of run; each can come from the environment instead.
type flags struct {
	pairing, code, pair, name, dir, logFormat, logLevel, rotateKeyEvery string
	tokenFile, gatewayCA                                                string
	transport, capabilitiesDir, mediationPolicy, desktop, prompt        string
}

const runHelp = `Pairs this machine on its first start, then keeps a session with a gateway and
runs the capabilities people ask for. Stop it with Ctrl-C or SIGTERM.

The first start needs --pairing and --code, or the URI of a QR code with --pair; the
URI says which gateway is meant, and nothing is sent to any other. A code or URI on
the command line ends up in the shell's history; "-" reads it from standard input
instead, where a scanner may type it, and --pair @FILE from a file. In a pod,
--service-account-token-file and --gateway-ca take the place of a code. Every flag
can be given in the environment: MOORING_PAIRING, MOORING_PAIRING_CODE, MOORING_PAIR,
MOORING_SERVICE_ACCOUNT_TOKEN_FILE, MOORING_GATEWAY_CA, MOORING_NAME,
MOORING_IDENTITY_DIR, MOORING_LOG_FORMAT, MOORING_LOG_LEVEL,
MOORING_ROTATE_KEY_EVERY, MOORING_TRANSPORT, MOORING_CAPABILITIES_DIR,
MOORING_MEDIATION_POLICY, MOORING_DESKTOP, MOORING_PROMPT.

` + exitCodesHelp

func newRun(build Build) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Pairs this machine if need be, and serves",
		Long:  runHelp,
		Example: "  mooring-agent run --pairing gateway.example.com:7443 --code K7QX2M-482913\n" +
			"  mooring-agent run --pair -\n  mooring-agent run",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := f.options(cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			options.Extra, options.Now = build.Capabilities, build.Now
			options.Out = cmd.OutOrStdout()
			options.Terminal = f.terminal()
			if err := nodeagent.Run(cmd.Context(), options); err != nil {
				return runError{err}
			}
			return nil
		},
	}
	set := cmd.Flags()
	set.StringVar(&f.pairing, "pairing", os.Getenv("MOORING_PAIRING"), "`HOST:PORT` of the pairing listener")
	set.StringVar(&f.code, "code", "", "pairing `CODE` such as K7QX2M-482913, or - to read it from standard input")
	set.StringVar(&f.pair, "pair", "", "pairing `URI` of a QR code (in quotes), - to read it from standard input, or @FILE")
	set.StringVar(&f.tokenFile, "service-account-token-file", os.Getenv("MOORING_SERVICE_ACCOUNT_TOKEN_FILE"), "in a pod: `FILE` with a projected token, instead of a code")
	set.StringVar(&f.gatewayCA, "gateway-ca", os.Getenv("MOORING_GATEWAY_CA"), "in a pod: `FILE` with the CA bundle of the gateways, PEM")
	set.StringVar(&f.name, "name", os.Getenv("MOORING_NAME"), "`NAME` of the Node (default: from the host name)")
	set.StringVar(&f.dir, "identity-dir", os.Getenv("MOORING_IDENTITY_DIR"), "`DIR` for the identity and the journal (default: "+defaultDirHelp+")")
	set.StringVar(&f.logFormat, "log-format", envOr("MOORING_LOG_FORMAT", "text"), "`FORMAT` of the log on standard error: text or json")
	set.StringVar(&f.logLevel, "log-level", envOr("MOORING_LOG_LEVEL", "info"), "`LEVEL` of the log: debug, info, warn or error")
	set.StringVar(&f.rotateKeyEvery, "rotate-key-every", envOr("MOORING_ROTATE_KEY_EVERY", "720h"), "`AGE` of the private key, such as 720h, at which the next renewal makes a new one; 0 keeps it")
	f.addMachine(set)
	return cmd
}

// options reads and checks everything before anything is touched.
func (f *flags) options(in io.Reader, logs io.Writer) (nodeagent.Options, error) {
	var o nodeagent.Options
	var err error
	if o.Log, err = newLog(logs, f.logFormat, f.logLevel); err != nil {
		return o, err
	}
	if o.Code, err = f.readCode(in); err != nil {
		return o, err
	}
	if o.Invitation, err = f.readInvitation(in, logs); err != nil {
		return o, err
	}
	if o.RotateKeyEvery, err = time.ParseDuration(f.rotateKeyEvery); err != nil || o.RotateKeyEvery < 0 {
		return o, fmt.Errorf("--rotate-key-every %q is not a duration such as 720h, or 0 to keep the key", f.rotateKeyEvery)
	}
	if f.pairing != "" {
		if err := pairing.CheckEndpoint(f.pairing); err != nil {
			return o, fmt.Errorf("--pairing: %w; give it as HOST:PORT, such as gateway.example.com:7443", err)
		}
	}
	if o.Code != nil && f.pairing == "" {
		return o, errors.New("--code needs --pairing HOST:PORT, the address that was handed out with the code")
	}
	if o.Account, err = f.readAccount(); err != nil {
		return o, err
	}
	if o.NodeName, err = f.nodeName(); err != nil {
		return o, err
	}
	if err := f.readMachine(&o); err != nil {
		return o, err
	}
	o.Pairing = f.pairing
	if o.Dir = f.dir; o.Dir == "" {
		o.Dir, err = defaultDir()
	}
	return o, err
}

// readCode takes the code from the flag, the environment or standard input. No
// error repeats it.
func (f *flags) readCode(in io.Reader) (*pairing.Code, error) {
	text := f.code
	if text == "" {
		text = os.Getenv("MOORING_PAIRING_CODE")
	}
	if text == "" {
		return nil, nil
	}
	if text == "-" {
		line, err := bufio.NewReader(io.LimitReader(in, 256)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read pairing code from standard input: %w", err)
		}
		text = line
	}
	code, err := pairing.ParseCode(text)
	if err != nil {
		return nil, err
	}
	return &code, nil
}

func (f *flags) nodeName() (string, error) {
	if f.name != "" {
		if hostinfo.NodeName(f.name) != f.name {
			return "", fmt.Errorf("--name %q is not a DNS label: lower-case letters, digits and dashes, at most 63", f.name)
		}
		return f.name, nil
	}
	hostname, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("read host name: %w; give a name with --name", err)
	}
	name := hostinfo.NodeName(hostname)
	if name == "" {
		return "", fmt.Errorf("no node name can be made of host name %q; give one with --name", hostname)
	}
	return name, nil
}

const defaultDirHelp = "/var/lib/mooring-agent as root, else mooring-agent in $XDG_STATE_HOME or ~/.local/state"

func defaultDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/mooring-agent", nil
	}
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "mooring-agent"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the identity: %w; give one with --identity-dir", err)
	}
	return filepath.Join(home, ".local", "state", "mooring-agent"), nil
}

func newLog(out io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q is none of debug, info, warn, error", level)
	}
	options := &slog.HandlerOptions{Level: l}
	switch strings.ToLower(format) {
	case "text":
		return slog.New(slog.NewTextHandler(out, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(out, options)), nil
	default:
		return nil, fmt.Errorf("--log-format %q is neither text nor json", format)
	}
}

func envOr(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}
