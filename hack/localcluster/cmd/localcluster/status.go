package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/control"
)

// notReady is the exit code of status when not every component is ready.
const notReady exitError = 3

func newStatusCommand(place *locationFlags) *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "status",
		Short: "Show the components and whether they are ready",
		Long: `Shows each component with its process, port and uptime, and why it is not ready if it
is not. Exit code 0: all is ready; 3: it is not, or nothing runs.`,
		Example: "  localcluster status\n  localcluster status -o json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %q: it is text or json", output)
			}
			client, dir, err := place.client()
			if err != nil {
				return err
			}
			status, err := client.Status(command.Context())
			if errors.Is(err, control.ErrNotRunning) {
				status = control.Status{State: string(dir), Phase: "down", Components: []control.Component{}, Steps: []control.Step{}}
			} else if err != nil {
				return err
			}
			if err := printStatus(command.OutOrStdout(), status, output); err != nil {
				return err
			}
			if !status.Ready {
				return notReady
			}
			return nil
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return command
}

func printStatus(out io.Writer, status control.Status, output string) error {
	if output == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(status)
	}
	if status.Phase == "down" {
		_, err := fmt.Fprintf(out, "no cluster runs in %s: start it with localcluster up\n", status.State)
		return err
	}
	_, _ = fmt.Fprintf(out, "cluster at %s is %s, supervisor %d, state %s\n", status.Server, status.Phase, status.PID, status.State)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "COMPONENT\tSTATE\tREADY\tPID\tPORT\tUPTIME\tCRASHES")
	for _, c := range status.Components {
		pid, uptime := "-", "-"
		if c.PID != 0 {
			pid, uptime = fmt.Sprint(c.PID), time.Since(c.Started).Round(time.Second).String()
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%t\t%s\t%d\t%s\t%d\n", c.Name, c.State, c.Ready, pid, c.Port, uptime, c.Restarts)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, c := range status.Components {
		if c.PID != 0 && !c.Ready {
			_, _ = fmt.Fprintf(out, "%s is not ready: %s\n", c.Name, c.NotReadyReason)
		}
	}
	return nil
}
