package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	cmlogs "github.com/cert-manager/cert-manager/pkg/logs"
	"k8s.io/klog/v2"
)

// controllerWorkers is the upstream default of --concurrent-workers.
const controllerWorkers = 5

// The upstream defaults of how long a Certificate rests after a failed request.
const (
	minimumBackoff = time.Hour
	maximumBackoff = 32 * time.Hour
)

func init() { components["cert-manager"] = runCertManager }

// runCertManager is cert-manager's controller without its main package, which
// the module proxy does not serve. The controllers registered above are the ones
// a cluster without ACME, Vault or gateways needs; there is one replica, so no
// leader election.
func runCertManager() {
	flags := flag.NewFlagSet("cert-manager", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "kubeconfig of the cluster to serve (required)")
	namespace := flags.String("cluster-resource-namespace", "cert-manager", "where the Secrets of ClusterIssuers live")
	listen := flags.String("listen", "127.0.0.1:9402", "address of /readyz, /healthz and /metrics")
	without := flags.String("without", "", "a controller that is not to run, such as certificaterequests-approver when another program approves")
	_ = flags.Parse(os.Args[1:])
	if *kubeconfig == "" {
		fmt.Fprintln(os.Stderr, "cert-manager: --kubeconfig is required")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	cmlogs.InitLogs()
	err := serveCertManager(klog.NewContext(ctx, cmlogs.Log), *kubeconfig, *namespace, *listen, *without)
	stop()
	cmlogs.FlushLogs()
	if err != nil {
		fmt.Fprintf(os.Stderr, "cert-manager: %v\n", err)
		os.Exit(1)
	}
}

func serveCertManager(ctx context.Context, kubeconfig, namespace, listen, without string) error {
	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{
		Kubeconfig:         kubeconfig,
		KubernetesAPIQPS:   200,
		KubernetesAPIBurst: 400,
		IssuerOptions:      controller.IssuerOptions{ClusterResourceNamespace: namespace},
		CertificateOptions: controller.CertificateOptions{
			CopiedAnnotationPrefixes:                 []string{"*", "-kubectl.kubernetes.io/", "-fluxcd.io/", "-argocd.argoproj.io/"},
			CertificateRequestMinimumBackoffDuration: minimumBackoff,
			CertificateRequestMaximumBackoffDuration: maximumBackoff,
		},
	})
	if err != nil {
		return fmt.Errorf("connect to the cluster: %w", err)
	}
	shared, err := factory.Build()
	if err != nil {
		return fmt.Errorf("build clients: %w", err)
	}
	loops := make(map[string]controller.Interface)
	known := controller.Known()
	if without != "" && known[without] == nil {
		return fmt.Errorf("--without=%s: there is no such controller", without)
	}
	for name, construct := range known {
		if name == without {
			continue
		}
		if loops[name], err = construct(factory); err != nil {
			return fmt.Errorf("build controller %q: %w", name, err)
		}
	}
	return runLoops(ctx, shared, loops, listen)
}
