package plugin

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign"
)

// completionTimeout bounds the time of one completion; a slower cluster completes nothing.
const completionTimeout = 3 * time.Second

type completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// complete makes a completer of a function that queries the cluster. After an error it completes
// nothing, because the command itself will report that error.
func (t *tool) complete(names func(ctx context.Context, f *fleet, args []string) []string) completer {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		f, err := t.access.open()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		return names(ctx, f, args), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeOneNode completes the name of one Node.
func completeOneNode(ctx context.Context, f *fleet, args []string) []string {
	if len(args) > 0 {
		return nil
	}
	return nodeNames(ctx, f)
}

// completeInvoke completes a Node and then one of its capabilities.
func completeInvoke(ctx context.Context, f *fleet, args []string) []string {
	var names []string
	switch len(args) {
	case 0:
		return nodeNames(ctx, f)
	case 1:
		var node v1alpha1.Node
		if f.get(ctx, args[0], &node) == nil {
			for _, capability := range node.Status.Capabilities {
				names = append(names, capability.Name+"\t"+foreign.CleanLine(capability.Description))
			}
		}
	}
	return names
}

// completeRequests completes the names of the requests that wait for a decision.
func (t *tool) completeRequests(ctx context.Context, f *fleet, _ []string) []string {
	var list v1alpha1.PairingRequestList
	var names []string
	if f.list(ctx, &list) == nil {
		for _, request := range list.Items {
			if isPending(&request, t.now()) {
				names = append(names, request.Name)
			}
		}
	}
	return names
}

func nodeNames(ctx context.Context, f *fleet) []string {
	var list v1alpha1.NodeList
	var names []string
	if f.list(ctx, &list) == nil {
		for _, node := range list.Items {
			names = append(names, node.Name)
		}
	}
	return names
}

// explainCompletion adds to the help of "completion" how to make kubectl complete the plugin.
func explainCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd("completion")
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Short = "Generate the autocompletion script for a shell"
			cmd.Long += `
To make kubectl complete "kubectl mooring", put an executable file kubectl_complete-mooring with
these two lines on your PATH:

  #!/bin/sh
  exec kubectl-mooring __complete "$@"
`
		}
	}
}
