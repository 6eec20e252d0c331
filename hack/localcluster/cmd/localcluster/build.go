package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/build"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/components"
)

func newBuildCommand(place *locationFlags) *cobra.Command {
	var worker bool
	command := &cobra.Command{
		Use:   "build",
		Short: "Build the programs of the control plane, if they are missing or outdated",
		Long: `Builds one binary that holds etcd, kube-apiserver, kube-controller-manager, kubectl
and cert-manager, into ROOT/.local/bin, with a link for each. With --worker it builds
kube-scheduler, kubelet and kube-proxy instead, into ROOT/.local/bin/worker. The first
build takes about 10 minutes on 2 cores; later ones use Go's build cache.`,
		Example: "  localcluster build\n  localcluster build --worker",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			builder, err := place.builder(command.ErrOrStderr())
			if err != nil {
				return err
			}
			variant := build.ControlPlane
			if worker {
				variant = build.Worker
			}
			if err := builder.Ensure(command.Context(), variant); err != nil {
				return err
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), builder.Folder(variant))
			return err
		},
	}
	command.Flags().BoolVar(&worker, "worker", false, "build kube-scheduler, kubelet and kube-proxy")
	return command
}

// ensurePrograms builds the control plane, unless the folder of KUBEBUILDER_ASSETS contains all
// programs.
func ensurePrograms(ctx context.Context, builder build.Builder) (build.Programs, error) {
	programs := build.Programs{Built: builder.Folder(build.ControlPlane)}
	if assets := os.Getenv(build.AssetsVariable); assets != "" {
		var err error
		if programs.Assets, err = filepath.Abs(assets); err != nil {
			return programs, fmt.Errorf("%s: %w", build.AssetsVariable, err)
		}
	}
	if programs.Complete() {
		return programs, nil
	}
	if err := builder.Ensure(ctx, build.ControlPlane); err != nil {
		return programs, err
	}
	// An incomplete folder of assets is reported now, not after a process was started in the
	// background.
	for _, name := range append(components.Names(), "kubectl") {
		if _, err := programs.Path(name); err != nil {
			return programs, err
		}
	}
	return programs, nil
}
