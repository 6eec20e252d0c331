// Package components describes the components of a cluster: how each is started, and how its
// readiness is checked.
package components

import (
	"net"
	"strconv"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/state"
)

// The names of the components, in the order in which they are started.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	CertManager       = "cert-manager"
)

// Names returns the components in the order in which they are started; they are stopped in reverse.
func Names() []string { return []string{Etcd, APIServer, ControllerManager, CertManager} }

const (
	serviceCIDR = "10.96.0.0/16"
	issuer      = "https://kubernetes.default.svc.cluster.local"
	// serviceIP is the first address of serviceCIDR, the address of the kubernetes Service.
	serviceIP = "10.96.0.1"
)

// Args returns the command line of a component, without the program.
func Args(name string, dir state.Dir, config state.Config) []string {
	switch name {
	case Etcd:
		return etcdArgs(dir, config)
	case APIServer:
		return apiServerArgs(dir, config)
	case ControllerManager:
		return controllerManagerArgs(dir, config)
	case CertManager:
		return []string{
			"--kubeconfig=" + dir.Kubeconfig(CertManager),
			"--listen=" + loopback(config.Ports.CertManager),
		}
	}
	return nil
}

// Port returns the port on which a component answers.
func Port(name string, ports state.Ports) int {
	return map[string]int{
		Etcd: ports.EtcdClient, APIServer: ports.APIServer,
		ControllerManager: ports.ControllerManager, CertManager: ports.CertManager,
	}[name]
}

func etcdArgs(dir state.Dir, config state.Config) []string {
	client, peer := "https://"+loopback(config.Ports.EtcdClient), "https://"+loopback(config.Ports.EtcdPeer)
	args := []string{
		"--name=local",
		"--data-dir=" + dir.Data(),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=local=" + peer,
		// The authority is separate: a certificate of the cluster's CA must not give access to the
		// store.
		"--client-cert-auth",
		"--trusted-ca-file=" + dir.Cert(EtcdCA),
		"--cert-file=" + dir.Cert(Etcd),
		"--key-file=" + dir.Key(Etcd),
		"--peer-client-cert-auth",
		"--peer-trusted-ca-file=" + dir.Cert(EtcdCA),
		"--peer-cert-file=" + dir.Cert(Etcd),
		"--peer-key-file=" + dir.Key(Etcd),
		"--quota-backend-bytes=4294967296",
		"--log-level=warn",
	}
	if !config.Fsync {
		args = append(args, "--unsafe-no-fsync")
	}
	return args
}

func apiServerArgs(dir state.Dir, config state.Config) []string {
	args := []string{
		"--bind-address=" + config.Address,
		"--advertise-address=" + config.Address,
		"--secure-port=" + strconv.Itoa(config.Ports.APIServer),
		"--tls-cert-file=" + dir.Cert(APIServer),
		"--tls-private-key-file=" + dir.Key(APIServer),
		"--client-ca-file=" + dir.Cert(ClusterCA),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--etcd-servers=https://" + loopback(config.Ports.EtcdClient),
		"--etcd-cafile=" + dir.Cert(EtcdCA),
		"--etcd-certfile=" + dir.Cert(EtcdClient),
		"--etcd-keyfile=" + dir.Key(EtcdClient),
		"--service-account-issuer=" + issuer,
		"--service-account-key-file=" + dir.SigningKey(),
		"--service-account-signing-key-file=" + dir.SigningKey(),
		"--service-cluster-ip-range=" + serviceCIDR,
		// The server then ends all watches itself; otherwise a stop waits a minute for them.
		"--shutdown-watch-termination-grace-period=1s",
		"--kubelet-certificate-authority=" + dir.Cert(ClusterCA),
		"--kubelet-client-certificate=" + dir.Cert(KubeletClient),
		"--kubelet-client-key=" + dir.Key(KubeletClient),
		"--kubelet-preferred-address-types=InternalIP",
	}
	if config.IsLoopback() {
		// An endpoint must not be a loopback address: without this flag the apiserver logs an error
		// every ten seconds.
		args = append(args, "--endpoint-reconciler-type=none")
	}
	if config.Audit {
		args = append(args,
			"--audit-policy-file="+dir.AuditPolicy(),
			"--audit-log-path="+dir.AuditLog(),
			"--audit-log-maxsize=1024", // MiB; a rotation in the middle of a test would hide lines
		)
	}
	return args
}

func controllerManagerArgs(dir state.Dir, config state.Config) []string {
	kubeconfig := dir.Kubeconfig(ControllerManager)
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=" + state.Loopback,
		"--secure-port=" + strconv.Itoa(config.Ports.ControllerManager),
		"--tls-cert-file=" + dir.Cert(ControllerManager),
		"--tls-private-key-file=" + dir.Key(ControllerManager),
		"--leader-elect=false", // one replica: nothing to wait for after a crash
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + dir.SigningKey(),
		"--root-ca-file=" + dir.Cert(ClusterCA),
		"--cluster-signing-cert-file=" + dir.Cert(ClusterCA),
		"--cluster-signing-key-file=" + dir.Key(ClusterCA),
		"--kube-api-qps=100",
		"--kube-api-burst=200",
	}
}

func loopback(port int) string {
	return net.JoinHostPort(state.Loopback, strconv.Itoa(port))
}
