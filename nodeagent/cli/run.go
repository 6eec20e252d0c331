package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/nodeagent"
	"github.com/mooring-dev/mooring/nodeagent/config"
	"github.com/mooring-dev/mooring/nodeagent/hostinfo"
	"github.com/mooring-dev/mooring/nodeagent/ownfile"
	"github.com/mooring-dev/mooring/nodeagent/service"
	"github.com/mooring-dev/mooring/nodeagent/transport"
)

// flags are the flags of run and install.
type flags struct {
	pairing, code, pair, name, dir, logFormat, logLevel, rotateKeyEvery string
	tokenFile, gatewayCA, logFile                                       string
	transport, capabilitiesDir, mediationPolicy, desktop, prompt        string
}

const runHelp = `Pairs this machine on its first start, then keeps a session with a gateway and
runs the capabilities people ask for. Stop it with Ctrl-C or SIGTERM.

The first start needs --pairing and --code, or the URI of a QR code with --pair; the
URI names the gateway, and nothing is sent to any other. A code or URI on the command
line ends up in the shell's history; "-" reads it from standard input instead, where a
scanner may type it, and --pair @FILE from a file. In a pod, --service-account-token-file
and --gateway-ca replace the code. The code can also come from MOORING_PAIRING_CODE, the
URI from MOORING_PAIR.

Every other flag has a variable in the environment (--log-level: MOORING_LOG_LEVEL)
and a key in the configuration file (logLevel). The flag counts before the variable,
the variable before the file.

` + exitCodesHelp

func newRun(build Build) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Pairs this machine if it is not paired, and serves",
		Long:  runHelp,
		Example: "  mooring-agent run --pairing gateway.example.com:7443 --code K7QX2M-482913\n" +
			"  mooring-agent run --pair -\n  mooring-agent run",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := f.readOptions(cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			options.Extra, options.Now = build.Capabilities, build.Now
			options.Out = cmd.OutOrStdout()
			return asRunError(f.runAgent(cmd.Context(), options))
		},
	}
	f.addPairing(cmd.Flags())
	f.addSettings(cmd)
	return cmd
}

// addPairing adds the flags of a first start: secrets that are used once.
func (f *flags) addPairing(set *pflag.FlagSet) {
	set.StringVar(&f.code, "code", "", "pairing `CODE` such as K7QX2M-482913, or - to read it from standard input")
	set.StringVar(&f.pair, "pair", "", "pairing `URI` of a QR code (in quotes), - to read it from standard input, or @FILE")
}

// addSettings adds a flag for every setting.
func (f *flags) addSettings(cmd *cobra.Command) {
	addConfigFlag(cmd)
	for flag, value := range map[string]*string{
		"pairing": &f.pairing, "service-account-token-file": &f.tokenFile, "gateway-ca": &f.gatewayCA, "name": &f.name,
		"identity-dir": &f.dir, "log-format": &f.logFormat, "log-level": &f.logLevel, "log-file": &f.logFile,
		"rotate-key-every": &f.rotateKeyEvery, "transport": &f.transport, "capabilities-dir": &f.capabilitiesDir,
		"mediation-policy": &f.mediationPolicy, "desktop": &f.desktop, "prompt": &f.prompt,
	} {
		config.AddFlag(cmd.Flags(), value, flag)
	}
}

// runAgent runs the agent. A service manager that does not use signals (Windows) ends the context
// instead.
func (f *flags) runAgent(ctx context.Context, options nodeagent.Options) (err error) {
	service.Host(ctx, func(ctx context.Context) int {
		options.Terminal = f.openTerminal()
		err = nodeagent.Run(ctx, options)
		return exitCode(asRunError(err))
	})
	return err
}

// readOptions reads and validates everything before the agent touches anything. The settings were
// checked before.
func (f *flags) readOptions(in io.Reader, logs io.Writer) (nodeagent.Options, error) {
	var o nodeagent.Options
	var err error
	if o.Code, err = f.readCode(in); err != nil {
		return o, err
	}
	if o.Invitation, err = f.readInvitation(in, logs); err != nil {
		return o, err
	}
	if o.Code != nil && f.pairing == "" {
		return o, errors.New("--code needs --pairing HOST:PORT, the address that was handed out with the code")
	}
	if o.ServiceAccount, err = f.readAccount(); err != nil {
		return o, err
	}
	if o.NodeName, err = f.resolveNodeName(); err != nil {
		return o, err
	}
	if o.RotateKeyEvery, err = time.ParseDuration(f.rotateKeyEvery); err != nil {
		return o, err
	}
	if o.Log, err = f.newLog(logs); err != nil {
		return o, err
	}
	o.Transport, o.Desktop = transport.Kind(f.transport), nodeagent.DesktopMode(f.desktop)
	o.CapabilitiesDir, o.MediationPolicy, o.Pairing = f.capabilitiesDir, f.mediationPolicy, f.pairing
	o.Dir, err = resolveIdentityDir(f.dir)
	return o, err
}

// readCode returns the code from the flag, the environment or standard input. No error contains the
// code.
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

func (f *flags) resolveNodeName() (string, error) {
	if f.name != "" {
		return f.name, nil
	}
	hostname, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("read host name: %w; give a name with --name", err)
	}
	name := hostinfo.NodeNameFromHostname(hostname)
	if name == "" {
		return "", fmt.Errorf("host name %q does not identify this machine; give a name with --name", hostname)
	}
	return name, nil
}

func (f *flags) newLog(out io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	if f.logFile != "" {
		out = foreign.NewWriter(&lumberjack.Logger{Filename: f.logFile, MaxSize: 10, MaxBackups: 2})
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: foreign.CleanLogAttr}
	log := slog.New(slog.NewTextHandler(out, options))
	if f.logFormat == "json" {
		log = slog.New(slog.NewJSONHandler(out, options))
	}
	// On some systems a folder such as /var/log belongs to a group, so this does not end the agent.
	if err := ownfile.CheckDir(filepath.Dir(f.logFile)); f.logFile != "" && errors.Is(err, ownfile.ErrUnsafe) {
		log.Warn("other users can replace the log file by a link to another file", "file", f.logFile, "error", err)
	}
	return log, nil
}
