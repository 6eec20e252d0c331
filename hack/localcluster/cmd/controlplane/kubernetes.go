package main

import (
	"os"
	_ "time/tzdata" // CronJob time zones, without files of the machine

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // build info metric
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func init() {
	components["etcd"] = func() { etcdmain.Main(os.Args) }
	components["kube-apiserver"] = func() { runCommand(apiserver.NewAPIServerCommand) }
	components["kube-controller-manager"] = func() { runCommand(controllermanager.NewControllerManagerCommand) }
	components["kubectl"] = runKubectl
}

// runCommand builds the command only when it is asked for: the constructors
// register feature gates and flags in process-wide registries.
func runCommand(newCommand func() *cobra.Command) {
	os.Exit(cli.Run(newCommand()))
}

func runKubectl() {
	// The verbosity has to be known before the command tree is built, which
	// itself logs while it looks for plugins and preferences.
	_, _ = logs.GlogSetter(kubectl.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}
