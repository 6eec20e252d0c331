package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/nodeagent/backoff"
	"github.com/mooring-dev/mooring/nodeagent/config"
	"github.com/mooring-dev/mooring/nodeagent/logfile"
	"github.com/mooring-dev/mooring/nodeagent/service"
	"github.com/mooring-dev/mooring/nodeagent/status"
	"github.com/mooring-dev/mooring/nodeagent/store"
)

var errNotInstalled = errors.New("no service is installed")

// startTime is the time that start waits for the first answer of the agent.
const startTime = 15 * time.Second

func notInstalled() error {
	return fmt.Errorf("%w%s; install it: mooring-agent install", errNotInstalled, service.Elsewhere())
}

// installed returns the service manager and the state of the service; a service that is not
// installed is an error.
func installed(ctx context.Context, build Build) (service.Manager, service.Status, error) {
	manager, err := build.Services()
	if err != nil {
		return nil, service.Status{}, runError{err}
	}
	found, err := manager.Status(ctx)
	if err == nil && found.State == service.NotInstalled {
		err = notInstalled()
	}
	return manager, found, asRunError(err)
}

func newStart(build Build) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "start", Short: "Starts the service, and waits until the agent answers", Args: cobra.NoArgs, Long: serviceCodesHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			manager, found, err := installed(cmd.Context(), build)
			if err != nil {
				return err
			}
			if dir, err = identityDir(dir); err != nil {
				return err
			}
			do := service.Manager.Start
			switch {
			case found.State == service.Running && found.Ended():
				do = service.Manager.Restart // the service manager waits to start it again
			case found.State == service.Running:
				fmt.Fprintln(cmd.OutOrStdout(), "Already running")
				return nil
			}
			return asRunError(start(cmd.Context(), cmd.OutOrStdout(), manager, dir, do))
		},
	}
	identityFlag(cmd, &dir)
	return cmd
}

func newRestart(build Build) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "restart", Short: "Restarts the service, or starts it", Args: cobra.NoArgs, Long: serviceCodesHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			manager, _, err := installed(cmd.Context(), build)
			if err != nil {
				return err
			}
			if dir, err = identityDir(dir); err != nil {
				return err
			}
			return asRunError(start(cmd.Context(), cmd.OutOrStdout(), manager, dir, service.Manager.Restart))
		},
	}
	identityFlag(cmd, &dir)
	return cmd
}

// start starts the service with do and waits until the agent answers on its socket.
func start(ctx context.Context, out io.Writer, manager service.Manager, dir string, do func(service.Manager) error) error {
	if err := checkPaired(dir); err != nil {
		return err
	}
	if err := checkFree(ctx, manager, dir); err != nil {
		return err
	}
	if err := do(manager); err != nil {
		return err
	}
	for end := time.Now().Add(startTime); time.Now().Before(end); {
		asking, cancel := context.WithTimeout(ctx, answerTime)
		report, err := status.Ask(asking, store.RunPath(dir))
		cancel()
		if err == nil {
			printLine(out, "Started: process %d, %s; see mooring-agent status", report.PID, report.Phase)
			return nil
		}
		if found, err := manager.Status(ctx); err == nil && found.Ended() {
			return fmt.Errorf("the agent ended at once (%s); see: mooring-agent logs, mooring-agent doctor", found.Detail)
		}
		if err := backoff.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("the agent was started and does not answer; see: mooring-agent logs, mooring-agent doctor")
}

// checkFree returns an error when an agent runs that is not the service. The service would end at
// once, and start would take that agent's answer for the answer of the service.
func checkFree(ctx context.Context, manager service.Manager, dir string) error {
	found, err := manager.Status(ctx)
	if err != nil || found.State == service.Running {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	report, err := status.Ask(asking, store.RunPath(dir))
	if err != nil {
		return nil //nolint:nilerr // nobody answers
	}
	return fmt.Errorf("%w: process %d, which is not the service, runs with %s; end it, then: mooring-agent start", store.ErrInUse, report.PID, dir)
}

func checkPaired(dir string) error {
	s, err := store.Peek(dir)
	if errors.Is(err, os.ErrNotExist) {
		err = store.ErrNotPaired
	}
	if err == nil {
		defer s.Close()
		_, err = s.Identity()
	}
	if errors.Is(err, store.ErrNotPaired) {
		return fmt.Errorf("%w (%s); pair it: mooring-agent install --pairing HOST:PORT --code CODE", err, dir)
	}
	return err
}

func newStop(build Build) *cobra.Command {
	return &cobra.Command{
		Use: "stop", Short: "Stops the service until the next start of the machine", Args: cobra.NoArgs,
		Long: "The agent gives running capabilities some seconds to end. It journals the runs that do not\n" +
			"end, and reports them in its next session.\n\n" + serviceCodesHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			manager, found, err := installed(cmd.Context(), build)
			if err != nil {
				return err
			}
			said := "Stopped"
			if found.State == service.Stopped {
				said = "Already stopped"
			} else if err := manager.Stop(); err != nil {
				return runError{err}
			}
			fmt.Fprintln(cmd.OutOrStdout(), said)
			return nil
		},
	}
}

func newLogs(build Build) *cobra.Command {
	var follow bool
	var f flags
	cmd := &cobra.Command{
		Use: "logs", Short: "Shows the log of the service", Args: cobra.NoArgs, Long: logsCodesHelp,
		Example:     "  mooring-agent logs\n  mooring-agent logs -f",
		Annotations: map[string]string{settlesItself: "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = settleAnyhow(cmd) // logs needs no identity directory
			if f.logFile != "" {
				err := logfile.Copy(cmd.Context(), cmd.OutOrStdout(), f.logFile, follow)
				if errors.Is(err, fs.ErrNotExist) {
					err = fmt.Errorf("nothing was logged yet: %w; start it: mooring-agent start", err)
				}
				return asRunError(err)
			}
			manager, _, err := installed(cmd.Context(), build)
			if err != nil {
				return err
			}
			return asRunError(manager.Logs(cmd.Context(), cmd.OutOrStdout(), follow))
		},
	}
	configFlag(cmd)
	config.Var(cmd.Flags(), &f.logFile, "log-file")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "follows the log")
	return cmd
}

// executable returns the path of this program, with links resolved: a link may disappear.
func executable() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return filepath.EvalSymlinks(path)
}

// confirm asks the person a question; every answer but y or yes means no.
func confirm(in io.Reader, out io.Writer, question string) (bool, error) {
	fmt.Fprintf(out, "%s [y/N] ", question)
	line, err := firstLine(in)
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", err
}
