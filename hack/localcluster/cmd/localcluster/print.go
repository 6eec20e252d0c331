package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/control"
)

func printStep(out io.Writer, step control.Step) {
	_, _ = fmt.Fprintf(out, "  %-32s %6.2f s\n", step.Name, step.Seconds)
}

func printNote(out io.Writer, note string) { _, _ = fmt.Fprintf(out, "  note: %s\n", note) }

// printSteps prints the steps that were not printed yet.
func (u *up) printSteps(status control.Status) {
	for _, step := range status.Steps[min(u.printedStep, len(status.Steps)):] {
		printStep(u.command.ErrOrStderr(), step)
		u.printedStep++
	}
}

// ready is the only line of --output json.
type ready struct {
	Kubeconfig string `json:"kubeconfig"`
	State      string `json:"state"`
	Server     string `json:"server"`
	Audit      string `json:"audit,omitempty"`
}

// printReady prints how to use the cluster: for programs on standard output, for people after the
// progress.
func (u *up) printReady(status control.Status, remark string) {
	if u.output == "json" {
		line, err := json.Marshal(ready{status.Kubeconfig, status.State, status.Server, status.Audit})
		if err == nil {
			_, _ = fmt.Fprintf(u.command.OutOrStdout(), "%s\n", line)
		}
		return
	}
	_, _ = fmt.Fprintf(u.command.OutOrStdout(), "cluster is ready at %s (%s)\n  export KUBECONFIG=%s\n",
		status.Server, remark, status.Kubeconfig)
}
