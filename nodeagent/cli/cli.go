// Package cli is the command line of the agent: flags, environment, signals and exit codes. It is a
// package, so that a build with other capabilities can have a main of its own.
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
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/process"
	"github.com/mooring-dev/mooring/nodeagent/service"
)

// Build holds the properties of one build of the agent; no flag can change them.
type Build struct {
	// Capabilities are the capabilities in addition to the built-in ones.
	Capabilities []capability.Capability
	// Now returns the machine's time; nil means time.Now.
	Now func() time.Time
	// Services returns the service manager; nil means the service manager of the system.
	Services func() (service.Manager, error)
}

// Main runs the agent with the given arguments and returns the exit code.
func Main(build Build, args []string, in io.Reader, out, errOut io.Writer) int {
	return process.RunAsInit(func() int {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		// The first signal shuts the agent down cleanly. The next one ends the process, because
		// this restores the default handling of signals.
		context.AfterFunc(ctx, stop)
		ctx, stopHangup := notifyHangup(ctx)
		defer stopHangup()
		return run(ctx, args, in, out, errOut, build)
	})
}

// notifyHangup ends the context when the terminal is closed (SIGHUP), unless the signal was ignored
// at the start (nohup). The kernel and the shell may both send SIGHUP, so a second one does
// nothing. After a SIGHUP it also catches SIGPIPE: writing to a pipe whose reader ended with the
// terminal must not end the process.
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

// runError marks an error of the agent itself; every other error is a mistake on the command line.
type runError struct{ error }

// Unwrap returns the error of the agent.
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
		fmt.Fprintf(errOut, "mooring-agent: %s\n", foreign.IndentLines(err.Error()))
		if hint := hints[exitCode(err)]; hint != "" {
			fmt.Fprintln(errOut, hint)
		}
	}
	return exitCode(err)
}

// printLine prints a line for a person. Only the format can start a line, because the arguments may
// be foreign text.
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
		// Settings are resolved before a command begins, so that a command reports only errors of
		// its own.
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Lookup(configName) == nil || cmd.Annotations[loadsSettingsItself] != "" {
				return nil
			}
			_, _, err := loadSettings(cmd)
			return err
		},
	}
	if build.Services == nil {
		build.Services = service.NewManager
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
