// Command localcluster runs a real Kubernetes control plane with cert-manager on this machine,
// built only from Go modules, for the demo, the tests and the benchmarks.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// exitError ends the program with an exit code and without a message.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := newRootCommand().ExecuteContext(ctx)
	stop()
	var code exitError
	switch {
	case err == nil:
	case errors.As(err, &code):
		os.Exit(int(code))
	default:
		fmt.Fprintf(os.Stderr, "localcluster: %v\n", err)
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	var place locationFlags
	root := &cobra.Command{
		Use:   "localcluster",
		Short: "A real Kubernetes control plane with cert-manager on this machine",
		Long: `localcluster runs etcd, kube-apiserver, kube-controller-manager and cert-manager as
processes of this machine, built from the Go modules that publish them. There are no
containers and no nodes. Everything of a cluster is in its state directory; several
state directories are several clusters.

If KUBEBUILDER_ASSETS is set, the programs in that folder are used instead of built
ones. KUBECONFIG is never read.`,
		Example: `  localcluster up
  .local/bin/kubectl --kubeconfig .local/cluster/admin.kubeconfig get namespaces
  localcluster kubeconfig --user alice --group developers --out alice.kubeconfig
  localcluster down --purge`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	place.register(root)
	root.AddCommand(
		newBuildCommand(&place), newUpCommand(&place), newDownCommand(&place),
		newStatusCommand(&place), newLogsCommand(&place), newKubeconfigCommand(&place),
		newStartCommand(&place), newStopCommand(&place), newRestartCommand(&place),
	)
	return root
}
