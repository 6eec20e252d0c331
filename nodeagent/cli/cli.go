// Package cli is the command line of the agent: flags, environment, signals and
// exit codes. It is a package so that a build with other capabilities is a main
// of its own.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/version"
	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/nodeagent/process"
	"github.com/mooring-dev/mooring/nodeagent/service"
)

// Build is what one build of the agent has of its own; no flag can change it.
type Build struct {
	// Capabilities are those besides the built-in ones.
	Capabilities []capability.Capability
	// Now is the machine's time; nil is the real one.
	Now func() time.Time
	// Services is the service manager; nil is that of the system.
	Services func() (service.Manager, error)
}

// Main runs the agent with the given arguments and returns the exit code.
func Main(build Build, args []string, in io.Reader, out, errOut io.Writer) int {
	return process.RunAsInit(func() int {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		// The first signal ends the agent in good order; from then on the next one ends
		// the process.
		context.AfterFunc(ctx, stop)
		ctx, stopHangup := notifyHangup(ctx)
		defer stopHangup()
		return run(ctx, args, in, out, errOut, build)
	})
}

// notifyHangup ends the context when the terminal is closed (SIGHUP), unless the signal was
// ignored at the start (nohup). Both the kernel and the shell may send it, so a second one
// does nothing. Writing to a pipe whose reader ended with the terminal is no reason to die
// either (SIGPIPE).
func notifyHangup(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	if signal.Ignored(syscall.SIGHUP) {
		return ctx, cancel
	}
	hangups, pipes := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		select {
		case <-hangups:
			signal.Notify(pipes, syscall.SIGPIPE)
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); signal.Stop(hangups); signal.Stop(pipes) }
}

// runError is an error of the agent itself; every other one is a mistake on the
// command line.
type runError struct{ error }

// Unwrap gives the agent's error.
func (e runError) Unwrap() error { return e.error }

func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer, build Build) int {
	out, errOut = foreign.NewWriter(out), foreign.NewWriter(errOut)
	root := newRoot(build)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintf(errOut, "mooring-agent: %s\n", foreign.Indent(err.Error()))
		if hint := hints[exitCode(err)]; hint != "" {
			fmt.Fprintln(errOut, hint)
		}
	}
	return exitCode(err)
}

// printLine prints a line for a person. Only the format can begin a line: the arguments may be foreign.
func printLine(out io.Writer, format string, args ...any) {
	fmt.Fprintln(out, foreign.Sprintf(format, args...))
}

func newRoot(build Build) *cobra.Command {
	root := &cobra.Command{
		Use:           "mooring-agent",
		Short:         "Makes this machine a Node that a cluster can ask to run capabilities",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		// What a command says of its settings is settled before it begins.
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Lookup(configName) == nil || cmd.Annotations[settlesItself] != "" {
				return nil
			}
			_, _, err := settle(cmd)
			return err
		},
	}
	if build.Services == nil {
		build.Services = service.System
	}
	root.AddCommand(newRun(build), newCapabilities(), newMediate(), newVersion(), newConfig(), newStatus(build), newInstall(build),
		newStart(build), newStop(build), newRestart(build), newLogs(build), newUninstall(build), newDoctor(build))
	return root
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Prints the version",
		Args:  cobra.NoArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), version.Version) },
	}
}
