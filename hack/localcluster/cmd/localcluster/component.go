package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/components"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/control"
)

func newStartCommand(place *locationFlags) *cobra.Command {
	return componentCommand(place, "start", "Start a component that was stopped, and wait until it is ready",
		func(ctx context.Context, client *control.Client, name string) error {
			return client.Start(ctx, name)
		})
}

func newStopCommand(place *locationFlags) *cobra.Command {
	var signal string
	command := componentCommand(place, "stop", "Stop a component until it is started again",
		func(ctx context.Context, client *control.Client, name string) error {
			return stopComponent(ctx, client, name, signal)
		})
	registerSignal(command, &signal)
	return command
}

func newRestartCommand(place *locationFlags) *cobra.Command {
	var signal string
	command := componentCommand(place, "restart", "Stop a component, start it, and wait until it is ready",
		func(ctx context.Context, client *control.Client, name string) error {
			if err := stopComponent(ctx, client, name, signal); err != nil {
				return err
			}
			return client.Start(ctx, name)
		})
	registerSignal(command, &signal)
	return command
}

func componentCommand(place *locationFlags, verb, short string, do func(context.Context, *control.Client, string) error) *cobra.Command {
	return &cobra.Command{
		Use:       verb + " COMPONENT",
		Short:     short,
		Long:      short + ".\n\nComponents: " + strings.Join(components.Names(), ", ") + ".",
		Example:   "  localcluster " + verb + " " + components.APIServer,
		ValidArgs: components.Names(),
		Args:      cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if !slices.Contains(components.Names(), args[0]) {
				return fmt.Errorf("unknown component %q: it is one of %s", args[0], strings.Join(components.Names(), ", "))
			}
			client, _, err := place.client()
			if err != nil {
				return err
			}
			return do(command.Context(), client, args[0])
		},
	}
}

func registerSignal(command *cobra.Command, signal *string) {
	command.Flags().StringVar(signal, "signal", "TERM", "TERM, or KILL to let it die without notice")
}

func stopComponent(ctx context.Context, client *control.Client, name, signal string) error {
	kill := false
	switch strings.TrimPrefix(strings.ToUpper(signal), "SIG") {
	case "TERM":
	case "KILL":
		kill = true
	default:
		return fmt.Errorf("--signal %q: it is TERM or KILL", signal)
	}
	return client.Stop(ctx, name, kill)
}
