package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/gateway"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/serviceaccount"
)

// Roles.
const (
	roleController = "controller"
	roleGateway    = "gateway"
)

// flags holds the command line. A flag that both roles take is in both configurations.
type flags struct {
	role, kubeconfig string
	logLevel         slog.Level
	controller       controllerConfig
	gateway          gatewayConfig
}

// parseFlags reads the command line. The error names the action to take; it is flag.ErrHelp after
// --help.
func parseFlags(args []string, stderr io.Writer) (flags, error) {
	f := flags{}
	set := flag.NewFlagSet("manager", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&f.role, "role", "", "what this process does: controller or gateway (required)")
	set.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster; default: the account of the pod")
	set.TextVar(&f.logLevel, "log-level", slog.LevelInfo, "least severe level that is logged: debug, info, warn or error")
	f.bindShared(set)
	f.controller.bind(set)
	f.gateway.bind(set)
	if err := set.Parse(args); err != nil {
		return f, err
	}
	f.copyShared()
	switch {
	case set.NArg() > 0:
		return f, fmt.Errorf("unexpected argument %q: everything is a flag, see --help", set.Arg(0))
	case f.role == "":
		return f, errors.New("--role is missing: give --role=controller or --role=gateway")
	case f.role == roleGateway:
		return f, errors.Join(f.checkShared(), f.gateway.checkFlags())
	case f.role == roleController:
		return f, errors.Join(f.checkShared(), f.controller.check())
	default:
		return f, fmt.Errorf("--role=%s is unknown: give --role=controller or --role=gateway", f.role)
	}
}

// bindShared binds the flags that both roles take.
func (f *flags) bindShared(set *flag.FlagSet) {
	c := &f.controller
	set.StringVar(&c.metricsBindAddress, "metrics-bind-address", ":8080", "address of /metrics; 0 switches it off")
	set.StringVar(&c.healthProbeBindAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz; 0 switches them off")
	set.StringVar(&c.systemNamespace, "system-namespace", v1alpha1.SystemNamespace, "namespace of the processes, Leases and issuers")
	set.StringVar(&c.pairingNamespace, "pairing-namespace", v1alpha1.PairingNamespace, "namespace of the password records")
	set.StringVar(&c.trustDomain, "trust-domain", "mooring.local", "trust domain of the SPIFFE ids of machines")
	set.StringVar(&c.serviceAccountAudience, "service-account-audience", serviceaccount.DefaultAudience, "audience that the tokens of in-cluster agents must be made for")
	set.IntVar(&c.maxQueuedPerNode, "max-queued-per-node", 1000, "unfinished dispatches of one Node; more are Rejected with QueueFull")
}

func (f *flags) copyShared() {
	from, to := f.controller, &f.gateway
	to.metricsBindAddress, to.healthProbeBindAddress = from.metricsBindAddress, from.healthProbeBindAddress
	to.systemNamespace, to.pairingNamespace, to.trustDomain = from.systemNamespace, from.pairingNamespace, from.trustDomain
	to.serviceAccountAudience = from.serviceAccountAudience
	to.maxQueuedPerNode = from.maxQueuedPerNode
}

func (f *flags) checkShared() error {
	c := f.controller
	switch {
	case c.maxQueuedPerNode < 1:
		return errors.New("--max-queued-per-node must be at least 1")
	case c.systemNamespace == "" || c.pairingNamespace == "" || c.systemNamespace == c.pairingNamespace:
		return errors.New("--system-namespace and --pairing-namespace must be set and differ: different accounts may see them")
	case c.serviceAccountAudience == "":
		return errors.New("--service-account-audience must not be empty: a token for the API server itself would be accepted")
	case c.trustDomain == "" || c.trustDomain != strings.ToLower(c.trustDomain) || strings.ContainsAny(c.trustDomain, ":/ "):
		return fmt.Errorf("--trust-domain=%q is no trust domain: give a lower-case DNS name such as mooring.local", c.trustDomain)
	}
	return nil
}

func (c *controllerConfig) bind(set *flag.FlagSet) {
	set.BoolVar(&c.leaderElect, "leader-elect", true, "controller: let one replica lead; needed for more than one")
	set.StringVar(&c.deviceIssuer, "device-issuer", v1alpha1.DeviceIssuer, "controller: Issuer of device certificates in the system namespace, or ClusterIssuer/NAME")
	set.StringVar(&c.serverIssuer, "server-issuer", v1alpha1.ServerIssuer, "controller: Issuer of gateway certificates, likewise")
	set.StringVar(&c.previousDeviceIssuer, "previous-device-issuer", "", "controller: device Issuer that stays trusted during a rotation")
	set.StringVar(&c.previousServerIssuer, "previous-server-issuer", "", "controller: server Issuer that stays trusted during a rotation")
	set.StringVar(&c.trustNamespaces, "trust-namespaces", "", "controller: namespaces, separated by commas, that get the CA of the gateways in ConfigMap mooring-trust, for agents in pods")
	set.StringVar(&c.advertisePairingEndpoint, "advertise-pairing-endpoint", "", "controller: HOST:PORT of the pairing listener, as shown to people")
	set.DurationVar(&c.certificateDuration, "certificate-duration", controllers.DefaultCertificateDuration, "controller: life of device certificates; machines renew them when 70 to 90 % of it is over")
	set.DurationVar(&c.staleAfter, "stale-after", 5*time.Minute, "controller: how long a Node without a session is Stale before it is Offline")
	set.DurationVar(&c.orphanGrace, "orphan-grace", time.Minute, "controller: time after the expiry of the Lease of a gateway, at which its sessions count as ended")
	set.DurationVar(&c.finishedRetention, "finished-retention", 0, "controller: delete finished dispatches without a TTL of their own after this time (a GitOps tool then creates its dispatch again, and it runs again); 0 keeps them")
}

// minCertificateDuration leaves a machine the time to renew before the end.
const minCertificateDuration = 30 * time.Second

func (c controllerConfig) check() error {
	return errors.Join(
		c.checkTrustNamespaces(),
		checkMinimum("certificate-duration", c.certificateDuration, minCertificateDuration),
		checkMaximum("certificate-duration", c.certificateDuration, identity.MaxLeafLifetime),
		checkMinimum("stale-after", c.staleAfter, time.Second),
		checkMinimum("orphan-grace", c.orphanGrace, 0),
		checkMinimum("finished-retention", c.finishedRetention, 0))
}

// checkTrustNamespaces rejects invalid names and namespaces in which a copy would overwrite its own
// source.
func (c controllerConfig) checkTrustNamespaces() error {
	for _, namespace := range splitList(c.trustNamespaces) {
		if len(validation.IsDNS1123Label(namespace)) > 0 || namespace == c.systemNamespace || namespace == c.pairingNamespace {
			return fmt.Errorf("--trust-namespaces: %q is not the name of another namespace: give those of agents in pods, separated by commas", namespace)
		}
	}
	return nil
}

// splitList splits a list at its commas; an empty text is an empty list.
func splitList(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func (c *gatewayConfig) bind(set *flag.FlagSet) {
	set.StringVar(&c.tlsDir, "tls-dir", "", "gateway: directory of the server certificate (required)")
	set.StringVar(&c.pairingBindAddress, "pairing-bind-address", ":7443", "gateway: address of the pairing listener")
	set.StringVar(&c.nodeBindAddress, "node-bind-address", ":7444", "gateway: address of the node listener")
	set.StringVar(&c.advertiseNodeEndpoint, "advertise-node-endpoint", "", "gateway: HOST:PORT of the node listener that machines connect to; several gateways separated by commas (required)")
	set.StringVar(&c.podName, "pod-name", "", "gateway: name of this replica; default: the host name")
	set.DurationVar(&c.dispatchedDelay, "dispatched-delay", 200*time.Millisecond, "gateway: how long a result is waited for before Dispatched is written")
	set.IntVar(&c.maxPendingRequests, "max-pending-requests", 50, "gateway: undecided PairingRequests in the cluster, of one fleet at most as many as are still free; more are refused")
	set.IntVar(&c.maxConnectionsPerNode, "max-connections-per-node", gateway.DefaultConnectionsPerNode, "gateway: connections one machine may hold on the node listener; its oldest connection is closed for one more")
	set.DurationVar(&c.leaseDuration, "lease-duration", 15*time.Second, "gateway: how long the Lease of this replica is valid without a renewal")
	set.DurationVar(&c.watchStaleAfter, "watch-stale-after", time.Minute, "gateway: how old the gateway's view of Nodes may be before it opens no sessions and offers nothing; sessions close at five times that")
}

// minWatchStaleAfter leaves room for the writes that measure the watch, one per two seconds.
const minWatchStaleAfter = 6 * time.Second

func (c gatewayConfig) checkFlags() error {
	if c.maxPendingRequests < 1 {
		return errors.New("--max-pending-requests must be at least 1")
	}
	if c.maxConnectionsPerNode < 2 {
		return errors.New("--max-connections-per-node must be at least 2: a machine opens its next session over a second connection")
	}
	return errors.Join(checkMinimum("dispatched-delay", c.dispatchedDelay, 0),
		checkMinimum("lease-duration", c.leaseDuration, time.Second),
		checkMinimum("watch-stale-after", c.watchStaleAfter, minWatchStaleAfter))
}

func checkMaximum(name string, value, most time.Duration) error {
	if value > most {
		return fmt.Errorf("--%s=%s is too long: give at most %s", name, value, most)
	}
	return nil
}

func checkMinimum(name string, value, least time.Duration) error {
	if value < least {
		return fmt.Errorf("--%s=%s is too short: give at least %s", name, value, least)
	}
	return nil
}

// loadConfig reads a kubeconfig, or the account of the pod. It ignores $KUBECONFIG, because a
// process with such rights must use only the cluster of its flags.
func loadConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags("", kubeconfig)
}

// newLogger returns a logger that writes JSON lines: the manager runs in pods, where programs read
// them.
func newLogger(level slog.Level, w io.Writer) logr.Logger {
	return logr.FromSlogHandler(slog.NewJSONHandler(foreign.NewWriter(w), &slog.HandlerOptions{Level: level, ReplaceAttr: foreign.CleanLogAttr}))
}
