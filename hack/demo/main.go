// Command demo shows Mooring end to end on this machine, with real processes. It starts a control
// plane, and a controller and a gateway with their own rights. A machine pairs with a PIN, an
// approver uses kubectl, and ordinary manifests run capabilities.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

// options holds the flags that all commands of the demo share.
type options struct {
	root       string // of the repository: binaries are in root/.local/bin
	kubeconfig string // of an existing cluster; empty starts a cluster for the demo
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted; every process was stopped")
		}
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Pair this machine, approve it, run capabilities: the whole story, for real",
		Long: `Runs the whole story once and stops everything that it started. Exits 0 only if every step succeeded.

It starts a control plane of its own. Another cluster is used only when --kubeconfig or
DEMO_KUBECONFIG names it; KUBECONFIG and the current context are never read.`,
		Example: `  demo                                  # once, then gone
  demo up                               # leave it running, print how to use it
  demo down                             # stop what "demo up" left running
  DEMO_KUBECONFIG=~/.kube/lab demo      # on a cluster that has cert-manager`,
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return runStory(cmd.Context(), o) },
	}
	cmd.PersistentFlags().StringVar(&o.kubeconfig, "kubeconfig", os.Getenv("DEMO_KUBECONFIG"), "admin kubeconfig of another cluster to use (default: a cluster of the demo's own)")
	cmd.PersistentFlags().StringVar(&o.root, "root", defaultRoot(), "checkout whose .local/bin holds the binaries")
	cmd.AddCommand(
		&cobra.Command{Use: "up", Short: "Leave the demo's system running and print how to use it", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return up(cmd.Context(), o) }},
		&cobra.Command{Use: "down", Short: "Stop the system that up started and delete its state", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return down(cmd.Context(), o) }},
		&cobra.Command{Use: "serve", Hidden: true, Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), o) }},
	)
	return cmd
}

// defaultRoot returns the checkout that contains the binary: ROOT/.local/bin/demo.
func defaultRoot() string {
	exe, err := os.Executable()
	if err != nil {
		return "."
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(exe)))
}
