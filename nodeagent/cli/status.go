package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/version"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/local"
	"github.com/mooring-dev/mooring/nodeagent/local/status"
	"github.com/mooring-dev/mooring/nodeagent/service"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

var (
	errNotConnected = errors.New("the agent has no session with a gateway")
	errNotRunning   = errors.New("no agent runs")
)

// statusTimeout is the time within which a running agent must report its state.
const statusTimeout = 3 * time.Second

// overview is the output of status, with the JSON names of -o json.
type overview struct {
	Version   string `json:"version"`
	Installed bool   `json:"installed"`
	// Service is the state that the service manager reports, and ServiceProblem the reason when
	// there is none.
	Service        service.Status `json:"service"`
	Manager        string         `json:"manager,omitempty"`
	ServiceProblem string         `json:"serviceProblem,omitempty"`
	Config         string         `json:"config"`
	// ConfigProblem is the reason why the configuration does not name the identity directory.
	// IdentityDir is then only the default.
	ConfigProblem string `json:"configProblem,omitempty"`
	IdentityDir   string `json:"identityDir"`

	Paired              bool      `json:"paired"`
	Namespace           string    `json:"namespace,omitempty"`
	Node                string    `json:"node,omitempty"`
	Gateway             string    `json:"gateway,omitempty"`
	CertificateNotAfter time.Time `json:"certificateNotAfter,omitzero"`
	// IdentityProblem is the reason why the identity cannot be used.
	IdentityProblem string `json:"identityProblem,omitempty"`

	Running   bool `json:"running"`
	Connected bool `json:"connected"`
	// Agent is the report of the running agent, and AgentProblem the reason when there is none.
	Agent        *status.Report `json:"agent,omitempty"`
	AgentProblem string         `json:"agentProblem,omitempty"`

	// configErr, identityErr and agentErr are the errors behind ConfigProblem, IdentityProblem and
	// AgentProblem.
	configErr, identityErr, agentErr error
}

func newStatus(build Build) *cobra.Command {
	var dir, output string
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "status", Short: "Shows whether the agent is installed, paired, running and connected", Args: cobra.NoArgs,
		Long: "Asks the service manager, the identity directory and the running agent itself; an agent\n" +
			"that was killed is never shown as connected.\n\n" + statusCodesHelp,
		Example:     "  mooring-agent status\n  mooring-agent status --wait 1m     # until it is connected\n  mooring-agent status -o json",
		Annotations: map[string]string{loadsSettingsItself: "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			configErr := loadSettingsLenient(cmd)
			var err error
			if dir, err = resolveIdentityDir(dir); err != nil {
				return err
			}
			path, _, err := resolveConfigPath(cmd)
			if err != nil {
				return err
			}
			o := awaitConnected(cmd.Context(), wait, func() overview { return collectStatus(cmd.Context(), build, path, dir) })
			if configErr != nil {
				o.configErr, o.ConfigProblem = configErr, configErr.Error()
			}
			if output == "json" {
				err = printJSON(cmd.OutOrStdout(), o)
			} else {
				err = o.print(cmd.OutOrStdout(), time.Now())
			}
			return errors.Join(asRunError(err), o.asError())
		},
	}
	addIdentityFlag(cmd, &dir)
	addOutputFlag(cmd, &output)
	cmd.Flags().DurationVar(&wait, "wait", 0, "`HOW LONG` to wait until the agent is connected")
	return cmd
}

// awaitConnected calls collect again until the agent is connected or the time is over.
func awaitConnected(ctx context.Context, wait time.Duration, collect func() overview) overview {
	for end := time.Now().Add(wait); ; {
		o := collect()
		if o.Connected || !time.Now().Before(end) || backoff.Sleep(ctx, 100*time.Millisecond) != nil {
			return o
		}
	}
}

func collectStatus(ctx context.Context, build Build, path, dir string) overview {
	o := overview{Version: version.Version, Config: path, IdentityDir: dir, Service: service.Status{State: service.NotInstalled}}
	if manager, err := build.Services(); err != nil {
		o.ServiceProblem = err.Error()
	} else {
		o.Manager = manager.Describe()
		if found, err := manager.Status(ctx); err != nil {
			o.ServiceProblem = err.Error()
		} else {
			o.Service, o.Installed = found, found.State != service.NotInstalled
		}
	}
	o.readIdentity()
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	report, err := status.FetchReport(ctx, store.RunPath(dir))
	switch {
	case err == nil:
		o.Agent, o.Running, o.Connected = &report, true, report.Phase == status.Connected
	case errors.Is(err, local.ErrNoAgent):
	default:
		o.agentErr, o.Running, o.AgentProblem = err, errors.Is(err, status.ErrNotResponding), err.Error()
	}
	return o
}

func (o *overview) readIdentity() {
	s, err := store.OpenReadOnly(o.IdentityDir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		o.identityErr, o.IdentityProblem = err, err.Error()
		return
	}
	defer s.Close()
	current, err := s.Identity()
	if errors.Is(err, store.ErrNotPaired) {
		return
	}
	if err != nil {
		o.identityErr, o.IdentityProblem = err, err.Error()
		return
	}
	o.Paired, o.Namespace, o.Node = true, current.ID.Namespace, current.ID.Node
	o.CertificateNotAfter = current.Leaf().NotAfter.UTC()
	if stored, err := s.Config(); err == nil {
		o.Gateway = stored.NodeEndpoint
	}
}

// asError returns the error for the exit code. It reports an agent as stopped, or a machine as
// unpaired, only if that could be determined.
func (o *overview) asError() error {
	switch {
	case o.Connected:
		return nil
	case o.Running:
		return runError{fmt.Errorf("%w; find out why: mooring-agent doctor", errNotConnected)}
	case o.configErr != nil && !o.Paired:
		return fmt.Errorf("%w; correct it, or give --identity-dir", o.configErr)
	case errors.Is(o.agentErr, fs.ErrPermission):
		return runError{o.agentErr}
	case o.identityErr != nil:
		return runError{o.identityErr}
	case !o.Paired:
		return runError{fmt.Errorf("%w, and %w; pair it: mooring-agent install --pairing HOST:PORT --code CODE", errNotRunning, store.ErrNotPaired)}
	case !o.Installed:
		return runError{fmt.Errorf("%w; start it: mooring-agent install --now, or mooring-agent run", errNotRunning)}
	default:
		return runError{fmt.Errorf("%w; start it: mooring-agent start", errNotRunning)}
	}
}

func (o *overview) print(out io.Writer, now time.Time) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(key, format string, args ...any) {
		fmt.Fprintf(table, "%s\t%s\n", key, foreign.Sprintf(format, args...))
	}
	line("Service:", "%s", joinNonEmpty("; ", string(o.Service.State), o.Service.Detail, o.Manager, o.ServiceProblem))
	if o.Paired {
		line("Paired:", "yes, as node %s/%s", o.Namespace, o.Node)
		line("Certificate:", "%s", formatValidity(o.CertificateNotAfter, now))
		line("Gateway:", "%s", o.Gateway)
	} else {
		line("Paired:", "no %s", o.IdentityProblem)
	}
	line("Configuration:", "%s", o.Config)
	line("Identity:", "%s", o.IdentityDir)
	if a := o.Agent; a == nil {
		line("Agent:", "%s", strings.TrimSpace(map[bool]string{true: "running ", false: "not running "}[o.Running]+o.AgentProblem))
	} else {
		line("Agent:", "%s, process %d, version %s", a.Phase, a.PID, a.Version)
		if a.PairingRequest != "" {
			line("Pairing request:", "%s", joinNonEmpty(": ", foreign.BriefLine(a.PairingRequest), foreign.BriefLine(a.PairingMessage)))
		}
		if o.Connected {
			line("Session:", "%s over %s since %s", a.Session, a.Transport, a.ConnectedSince.Format(time.RFC3339))
		}
		if a.LastError != "" {
			line("Last error:", "%s (%s)", foreign.BriefLine(a.LastError), a.LastErrorTime.Format(time.RFC3339))
		}
		if next := link.ExplainDenial(a.LastErrorReason).NextStep; next != "" {
			line("Next step:", "%s", next)
		}
		for i, c := range a.Capabilities {
			line(map[bool]string{true: "Capabilities:"}[i == 0], "%s", formatCapability(c, a.GrantsTime))
		}
		if !a.GrantsTime.IsZero() {
			line("Grants:", "of %s; a later change in the cluster is not shown", a.GrantsTime.Format(time.RFC3339))
		}
	}
	return table.Flush()
}

// joinNonEmpty joins the parts that are not empty.
func joinNonEmpty(separator string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), separator)
}

func formatValidity(until, now time.Time) string {
	if now.After(until) {
		return "expired " + until.Format(time.RFC3339)
	}
	return fmt.Sprintf("valid until %s (%s)", until.Format(time.RFC3339), until.Sub(now).Round(time.Minute))
}

func formatCapability(c status.Capability, granted time.Time) string {
	switch name := foreign.EscapeExactly(c.Name); {
	case c.Reason != "":
		return name + " (unavailable: " + foreign.EscapeExactly(c.Reason) + ")"
	case granted.IsZero():
		return name + " (no session yet, so its grant is not known)"
	case !c.Granted:
		return name + " (not granted at " + granted.Format(time.RFC3339) + ")"
	default:
		return name
	}
}
