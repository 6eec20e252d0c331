//go:build worker

package main

import (
	"context"

	"github.com/spf13/cobra"
	kubeproxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func init() {
	components["kube-scheduler"] = func() {
		runCommand(func() *cobra.Command { return scheduler.NewSchedulerCommand() })
	}
	components["kubelet"] = func() {
		runCommand(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) })
	}
	components["kube-proxy"] = func() { runCommand(kubeproxy.NewProxyCommand) }
}
