package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/control"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/state"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/supervise"
)

func newDownCommand(place *locationFlags) *cobra.Command {
	var purge bool
	command := &cobra.Command{
		Use:   "down",
		Short: "Stop the cluster",
		Long: `Stops every process of the cluster, also of one whose supervisor hangs or was killed.
The data stay for the next up, unless --purge deletes the state directory.`,
		Example: "  localcluster down\n  localcluster down --purge",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			client, dir, err := place.client()
			if err != nil {
				return err
			}
			if dir.Exists() {
				if err := down(command.Context(), client, dir, command.ErrOrStderr()); err != nil {
					return err
				}
			} else {
				printNote(command.ErrOrStderr(), "there is no cluster in "+string(dir))
			}
			if purge {
				return dir.Purge()
			}
			return nil
		},
	}
	command.Flags().BoolVar(&purge, "purge", false, "delete the state directory with all data")
	return command
}

// down ends the supervisor, gracefully if it answers, and all processes that it left.
func down(parent context.Context, client *control.Client, dir state.Dir, out io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(parent, stopTimeout, fmt.Errorf("still running after %s", stopTimeout))
	defer cancel()
	if err := client.Shutdown(ctx); err == nil {
		_, _ = fmt.Fprintln(out, "stopping the cluster")
	} else if err := killSilentSupervisor(ctx, dir, out); err != nil {
		return err
	}
	lock, err := state.WaitLock(ctx, dir.SupervisorLock())
	if err != nil {
		return err
	}
	defer lock.Release()
	killed, err := supervise.KillOrphans(string(dir))
	if len(killed) > 0 {
		printNote(out, fmt.Sprintf("ended processes %v that an earlier run had left", killed))
	}
	return err
}

// killSilentSupervisor kills a supervisor that holds its lock and does not answer. The supervisor may be just
// starting or ending, so `killSilentSupervisor` first waits a little.
func killSilentSupervisor(parent context.Context, dir state.Dir, out io.Writer) error {
	ctx, cancel := context.WithTimeout(parent, 5*time.Second)
	defer cancel()
	lock, err := state.WaitLock(ctx, dir.SupervisorLock())
	if err == nil {
		lock.Release()
		return nil
	}
	if ctx.Err() == nil || parent.Err() != nil {
		return err
	}
	pid := state.Holder(dir.SupervisorLock())
	if pid <= 1 {
		return fmt.Errorf("some process holds %s and does not answer: end it by hand", dir.SupervisorLock())
	}
	printNote(out, fmt.Sprintf("supervisor %d does not answer, killing it", pid))
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill supervisor %d: %w", pid, err)
	}
	return nil
}
