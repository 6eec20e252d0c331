package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/jsontext"
	"github.com/mooring-dev/mooring/nodeagent/config"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/program"
)

// capabilityInfo is a capability file in the output of -o json.
type capabilityInfo struct {
	Name        string          `json:"name"`
	File        string          `json:"file"`
	Available   bool            `json:"available"`
	Reason      string          `json:"reason,omitempty"`
	Mediation   string          `json:"mediation"`
	Description string          `json:"description,omitempty"`
	InputSchema json.RawMessage `json:"inputSchema,omitempty"`
}

func newCapabilities() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "capabilities",
		Short: "Shows and checks this machine's own capabilities",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCapabilitiesList(), newCapabilitiesValidate())
	return cmd
}

func newCapabilitiesList() *cobra.Command {
	var identity, dir, output string
	cmd := &cobra.Command{
		Use: "list", Short: "Lists the capability files of a folder", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if dir == "" {
				base, err := resolveIdentityDir(identity)
				if err != nil {
					return err
				}
				dir = filepath.Join(base, store.CapabilitiesFolder)
			}
			programs, err := program.LoadAll(dir)
			if err != nil {
				return runError{err}
			}
			return printCapabilities(cmd.OutOrStdout(), output, programs)
		},
	}
	addIdentityFlag(cmd, &identity)
	config.AddFlag(cmd.Flags(), &dir, "capabilities-dir")
	addOutputFlag(cmd, &output)
	return cmd
}

func newCapabilitiesValidate() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "validate FILE", Short: "Checks a capability file; the exit code is 1 when it cannot be used", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			p, loadErr := program.Load(path)
			if output == "json" || loadErr == nil {
				if err := printCapabilities(cmd.OutOrStdout(), output, []*program.Program{p}); err != nil {
					return err
				}
			}
			if loadErr != nil {
				return runError{fmt.Errorf("%s: %w", path, loadErr)}
			}
			return nil
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func printCapabilities(out io.Writer, output string, programs []*program.Program) error {
	list := []capabilityInfo{}
	for _, p := range programs {
		reason := p.Unavailable()
		info := capabilityInfo{Name: p.Name(), File: p.Path, Available: reason == "", Reason: reason, Mediation: "None",
			Description: p.Description(), InputSchema: p.Schema()}
		if p.Mediation() == capability.MediationLocal {
			info.Mediation = "Local"
		}
		list = append(list, info)
	}
	if output == "json" {
		return printJSON(out, list)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tAVAILABLE\tMEDIATION\tREASON")
	for _, info := range list {
		fmt.Fprintf(table, "%s\t%t\t%s\t%s\n", foreign.EscapeExactly(info.Name), info.Available, info.Mediation, foreign.EscapeExactly(cmp.Or(info.Reason, "-")))
	}
	return table.Flush()
}

// printJSON prints a value with its unsafe characters escaped, so that the value stays the same.
func printJSON(out io.Writer, value any) error {
	text, err := jsontext.MarshalIndent(value, "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", foreign.EscapeJSON(text))
	return err
}

func addOutputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "text", "`FORMAT`: text or json")
}

func checkOutput(output string) error {
	if output != "text" && output != "json" {
		return fmt.Errorf("--output %q is neither text nor json", output)
	}
	return nil
}
