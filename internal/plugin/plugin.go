// Package plugin implements the operator's tool kubectl-mooring, which invites and approves
// machines, lists them and runs capabilities on them. It has no rights of its own: every command
// uses the kubeconfig and the permissions of the person who runs it, as kubectl does.
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

// tool holds the streams, the cluster access, the clock and the output format that all commands
// share.
type tool struct {
	genericiooptions.IOStreams
	access *clusterAccess
	now    func() time.Time
	format format
}

// Main runs one command line, given without the program's name, and returns the exit code (see
// exitCodes).
func Main(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	// The logs of the libraries do not help the person who typed the command.
	log.SetLogger(logr.Discard())
	streams := genericiooptions.IOStreams{In: in, Out: out, ErrOut: foreign.NewWriter(errOut)}
	t := &tool{IOStreams: streams, access: newClusterAccess(streams.ErrOut), now: time.Now}
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
		Args:          rejectUnknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(t.In)
	root.SetOut(t.Out)
	root.SetErr(t.ErrOut)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageErrorf("%w\nSee: %s --help", err, cmd.CommandPath())
	})
	t.access.addFlags(root.PersistentFlags())
	t.format.addFlag(root)
	root.AddCommand(newCode(t), newPending(t), newApprove(t), newDeny(t), newNodes(t), newGrant(t), newInvoke(t), newCanI(t), newUninstall(t), newVersion(t))
	explainCompletion(root)
	return root
}

// rejectUnknownCommand returns a usage error, with suggestions, for a word that is not a command.
func rejectUnknownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	root.SuggestionsMinimumDistance = 2
	hint := ""
	for _, suggestion := range root.SuggestionsFor(args[0]) {
		hint += fmt.Sprintf("\nDid you mean: %s %s", root.CommandPath(), suggestion)
	}
	return usageErrorf("unknown command %q%s\nSee: %s --help", args[0], hint, root.CommandPath())
}

// rangeArgs returns a check of the number of arguments; its error shows the usage line of the
// command.
func rangeArgs(atLeast, atMost int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < atLeast || (atMost >= 0 && len(args) > atMost) {
			return usageErrorf("wrong number of arguments (%d)\nUsage: %s\nSee: %s --help", len(args), cmd.UseLine(), cmd.CommandPath())
		}
		return nil
	}
}

// noticef writes a line for the person to the error stream, so that it never gets into a pipe. Only
// the format can begin a line, because the arguments may be foreign text.
func (t *tool) noticef(format string, args ...any) {
	fmt.Fprintln(t.ErrOut, foreign.Sprintf(format, args...))
}

// notice writes a text of several lines. The caller has already quoted the foreign text in it or
// reduced it to single lines.
func (t *tool) notice(text string) {
	fmt.Fprintln(t.ErrOut, text)
}
