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

	"github.com/mooring-dev/mooring/nodeagent/config"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/local/status"
	"github.com/mooring-dev/mooring/nodeagent/logfile"
	"github.com/mooring-dev/mooring/nodeagent/service"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
)

var errNotInstalled = errors.New("no service is installed")

// startTimeout is the time that start waits for the first answer of the agent.
const startTimeout = 15 * time.Second

func notInstalledError() error {
	return fmt.Errorf("%w%s; install it: mooring-agent install", errNotInstalled, service.OtherScopeHint())
}

// findService returns the service manager and the state of the service; a service that is not
// installed is an error.
func findService(ctx context.Context, build Build) (service.Manager, service.Status, error) {
	manager, err := build.Services()
	if err != nil {
		return nil, service.Status{}, runError{err}
	}
	found, err := manager.Status(ctx)
	if err == nil && found.State == service.NotInstalled {
		err = notInstalledError()
	}
	return manager, found, asRunError(err)
}

func newStart(build Build) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "start", Short: "Starts the service, and waits until the agent answers", Args: cobra.NoArgs, Long: serviceCodesHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			manager, found, err := findService(cmd.Context(), build)
			if err != nil {
				return err
			}
			if dir, err = resolveIdentityDir(dir); err != nil {
				return err
			}
			action := service.Manager.Start
			switch {
			case found.State == service.Running && found.Ended():
				action = service.Manager.Restart // the service manager waits to start it again
			case found.State == service.Running:
				fmt.Fprintln(cmd.OutOrStdout(), "Already running")
				return nil
			}
			return asRunError(startService(cmd.Context(), cmd.OutOrStdout(), manager, dir, action))
		},
	}
	addIdentityFlag(cmd, &dir)
	return cmd
}

func newRestart(build Build) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "restart", Short: "Restarts the service, or starts it", Args: cobra.NoArgs, Long: serviceCodesHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			manager, _, err := findService(cmd.Context(), build)
			if err != nil {
				return err
			}
			if dir, err = resolveIdentityDir(dir); err != nil {
				return err
			}
			return asRunError(startService(cmd.Context(), cmd.OutOrStdout(), manager, dir, service.Manager.Restart))
		},
	}
	addIdentityFlag(cmd, &dir)
	return cmd
}

// startService starts the service with action and waits until the agent answers on its socket.
func startService(ctx context.Context, out io.Writer, manager service.Manager, dir string, action func(service.Manager) error) error {
	if err := checkPaired(dir); err != nil {
		return err
	}
	if err := checkNoOtherAgent(ctx, manager, dir); err != nil {
		return err
	}
	if err := action(manager); err != nil {
		return err
	}
	for end := time.Now().Add(startTimeout); time.Now().Before(end); {
		askCtx, cancel := context.WithTimeout(ctx, statusTimeout)
		report, err := status.FetchReport(askCtx, store.RunPath(dir))
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

// checkNoOtherAgent returns an error when an agent runs that is not the service. The service would
// end at once, and startService would take that agent's answer for the answer of the service.
func checkNoOtherAgent(ctx context.Context, manager service.Manager, dir string) error {
	found, err := manager.Status(ctx)
	if err != nil || found.State == service.Running {
		return err
	}
	askCtx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	report, err := status.FetchReport(askCtx, store.RunPath(dir))
	if err != nil {
		return nil // nobody answers
	}
	return fmt.Errorf("%w: process %d, which is not the service, runs with %s; end it, then: mooring-agent start", store.ErrInUse, report.PID, dir)
}

func checkPaired(dir string) error {
	s, err := store.OpenReadOnly(dir)
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
			manager, found, err := findService(cmd.Context(), build)
			if err != nil {
				return err
			}
			message := "Stopped"
			if found.State == service.Stopped {
				message = "Already stopped"
			} else if err := manager.Stop(); err != nil {
				return runError{err}
			}
			fmt.Fprintln(cmd.OutOrStdout(), message)
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
		Annotations: map[string]string{loadsSettingsItself: "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = loadSettingsLenient(cmd) // logs needs no identity directory
			if f.logFile != "" {
				err := logfile.Copy(cmd.Context(), cmd.OutOrStdout(), f.logFile, follow)
				if errors.Is(err, fs.ErrNotExist) {
					err = fmt.Errorf("nothing was logged yet: %w; start it: mooring-agent start", err)
				}
				return asRunError(err)
			}
			manager, _, err := findService(cmd.Context(), build)
			if err != nil {
				return err
			}
			return asRunError(manager.Logs(cmd.Context(), cmd.OutOrStdout(), follow))
		},
	}
	addConfigFlag(cmd)
	config.AddFlag(cmd.Flags(), &f.logFile, "log-file")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "follows the log")
	return cmd
}

// executablePath returns the path of this program, with links resolved: a link may disappear.
func executablePath() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return filepath.EvalSymlinks(path)
}

// confirm asks the person a question; every answer but y or yes means no.
func confirm(in io.Reader, out io.Writer, question string) (bool, error) {
	fmt.Fprintf(out, "%s [y/N] ", question)
	line, err := readFirstLine(in)
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", err
}
