// Package plugin is the operator's tool kubectl-mooring: it invites and approves machines, lists
// them and runs capabilities on them. It has no rights of its own: every command does what the
// person who calls it could do with kubectl.
package plugin

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mooring-dev/mooring/internal/foreign"
)

// tool is what the commands share.
type tool struct {
	genericiooptions.IOStreams
	access *access
	now    func() time.Time
	format format
}

// Main runs one command line without the program's name and returns the exit code, see exitCodes.
func Main(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	// The libraries' own logs are no help to the person who typed the command.
	log.SetLogger(logr.Discard())
	streams := genericiooptions.IOStreams{In: in, Out: out, ErrOut: foreign.NewWriter(errOut)}
	t := &tool{IOStreams: streams, access: newAccess(streams.ErrOut), now: time.Now}
	root := newRoot(t)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		fmt.Fprintln(streams.ErrOut, "error:", err)
	}
	return exitCode(err)
}

const rootLong = `Invite machines, approve them, and run capabilities on them.

A namespace is a fleet: choose it with -n. Each command does with your own rights what kubectl
could do too; when a right is missing the error names it.`

func newRoot(t *tool) *cobra.Command {
	root := &cobra.Command{
		Use:           "kubectl-mooring",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl mooring"},
		Short:         "Invite machines, approve them, and run capabilities on them",
		Long:          rootLong,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(t.In)
	root.SetOut(t.Out)
	root.SetErr(t.ErrOut)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w\nSee: %s --help", err, cmd.CommandPath())
	})
	t.access.addFlags(root.PersistentFlags())
	t.format.addFlag(root)
	root.AddCommand(newCode(t), newPending(t), newApprove(t), newDeny(t), newNodes(t), newGrant(t), newInvoke(t), newCanI(t), newUninstall(t), newVersion(t))
	explainCompletion(root)
	return root
}

// unknownCommand is what a word that is no command ends in.
func unknownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	root.SuggestionsMinimumDistance = 2
	hint := ""
	for _, suggestion := range root.SuggestionsFor(args[0]) {
		hint += fmt.Sprintf("\nDid you mean: %s %s", root.CommandPath(), suggestion)
	}
	return usagef("unknown command %q%s\nSee: %s --help", args[0], hint, root.CommandPath())
}

// arguments checks the number of arguments and says which are wanted.
func arguments(atLeast, atMost int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < atLeast || (atMost >= 0 && len(args) > atMost) {
			return usagef("wrong number of arguments (%d)\nUsage: %s\nSee: %s --help", len(args), cmd.UseLine(), cmd.CommandPath())
		}
		return nil
	}
}

// sayf writes a line for the person to the error stream, where it cannot get into a pipe. Only the
// format can begin a line: the arguments may be foreign.
func (t *tool) sayf(format string, args ...any) {
	fmt.Fprintln(t.ErrOut, foreign.Sprintf(format, args...))
}

// say writes a text of our own of several lines, in which foreign text has been made lines or quoted.
func (t *tool) say(text string) {
	fmt.Fprintln(t.ErrOut, text)
}
