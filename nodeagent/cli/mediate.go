package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/run/mediation"
)

const mediateHelp = `Answers, for the person at this machine, whether a dispatch of the cluster may run. Run it
as the user of the agent, or as root; the agent refuses all other users. A question is
named by the name or the UID of its dispatch.

` + mediateCodesHelp

func newMediate() *cobra.Command {
	var dir, output string
	cmd := &cobra.Command{
		Use: "mediate", Short: "Answers the questions of the agent to the person at this machine", Long: mediateHelp, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	client := func() (mediation.Client, error) {
		if err := checkOutput(output); err != nil {
			return mediation.Client{}, err
		}
		base, err := resolveIdentityDir(dir)
		return mediation.Client{Socket: mediation.SocketPath(store.RunPath(base))}, err
	}
	list := &cobra.Command{
		Use: "list", Short: "Lists the dispatches that wait for an answer", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := client()
			if err != nil {
				return err
			}
			questions, err := c.List(cmd.Context())
			if err != nil {
				return runError{err}
			}
			return printQuestions(cmd.OutOrStdout(), output, questions)
		},
	}
	watch := &cobra.Command{
		Use: "watch", Short: "Prints the list again whenever it changes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := client()
			if err != nil {
				return err
			}
			var printing error
			err = c.Watch(cmd.Context(), func(questions []mediation.Question) {
				if printing == nil {
					printing = printQuestions(cmd.OutOrStdout(), output, questions)
				}
			})
			if err == nil {
				err = printing
			}
			return asRunError(err)
		},
	}
	cmd.AddCommand(list, watch, newAnswer("allow", "Allows a dispatch to run", true, client, &output), newAnswer("deny", "Denies a dispatch", false, client, &output))
	for _, sub := range cmd.Commands() {
		addIdentityFlag(sub, &dir)
		addOutputFlag(sub, &output)
	}
	return cmd
}

func newAnswer(use, short string, allowed bool, client func() (mediation.Client, error), output *string) *cobra.Command {
	return &cobra.Command{
		Use: use + " NAME|UID", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := client()
			if err != nil {
				return err
			}
			q, err := c.Answer(cmd.Context(), args[0], allowed)
			if err != nil {
				return runError{err}
			}
			if *output == "json" {
				return printJSON(cmd.OutOrStdout(), q)
			}
			verb := "Denied"
			if allowed {
				verb = "Allowed"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s %s\n", verb, foreign.EscapeExactly(q.Capability), foreign.EscapeExactly(q.Target))
			return nil
		},
	}
}

func printQuestions(out io.Writer, output string, questions []mediation.Question) error {
	if output == "json" {
		if questions == nil {
			questions = []mediation.Question{}
		}
		return printJSON(out, questions)
	}
	if len(questions) == 0 {
		fmt.Fprintln(out, "Nothing waits for an answer.")
	}
	for _, q := range questions {
		fmt.Fprintln(out, mediation.Describe(q))
	}
	return nil
}

func asRunError(err error) error {
	if err == nil {
		return nil
	}
	return runError{err}
}
