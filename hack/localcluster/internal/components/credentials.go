package components

import (
	"fmt"
	"os"
	"time"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/kubeconfig"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/pki"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/state"
)

// These are the names of the authorities, and of the certificates that do not have the name of a
// component.
const (
	ClusterCA     = "ca"
	EtcdCA        = "etcd-ca"
	EtcdClient    = "apiserver-etcd-client"
	KubeletClient = "apiserver-kubelet-client"
)

// ClusterName is the name of the cluster in kubeconfigs.
const ClusterName = "localcluster"

// masters is the group with every right: RBAC never refuses it.
const masters = "system:masters"

const auditPolicy = `# Who did what to which object, without the content of objects.
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: ["/healthz*", "/livez*", "/readyz*", "/metrics"]
- level: Metadata
`

// Credentials holds the credentials that the supervisor keeps in memory after WriteCredentials.
type Credentials struct {
	CAPEM     []byte   // of the cluster
	Admin     pki.Pair // of the cluster
	EtcdCAPEM []byte
	EtcdPair  pki.Pair // a client of etcd
}

// WriteCredentials creates the authorities unless they exist, and issues all their certificates
// again: addresses may have changed, and certificates age.
func WriteCredentials(dir state.Dir, config state.Config, now func() time.Time) (*Credentials, error) {
	etcd, err := writeEtcdCertificates(dir, now)
	if err != nil {
		return nil, err
	}
	authority, err := pki.LoadOrCreate(dir.PKI(), ClusterCA, now)
	if err != nil {
		return nil, err
	}
	leaves := map[string]pki.Leaf{
		APIServer: {CommonName: APIServer, Hosts: []string{
			config.Address, state.Loopback, serviceIP, "localhost",
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		}},
		ControllerManager: {CommonName: ControllerManager, Hosts: []string{state.Loopback, "localhost"}},
		KubeletClient:     {CommonName: KubeletClient, Organizations: []string{masters}},
	}
	if err := storeLeaves(dir, authority, leaves); err != nil {
		return nil, err
	}
	if err := pki.EnsureSigningKey(dir.SigningKey()); err != nil {
		return nil, err
	}
	admin, err := writeKubeconfigs(dir, config, authority)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(dir.AuditPolicy(), []byte(auditPolicy), 0o600); err != nil {
		return nil, fmt.Errorf("write audit policy: %w", err)
	}
	etcd.CAPEM, etcd.Admin = authority.CertPEM(), admin
	return etcd, nil
}

func writeEtcdCertificates(dir state.Dir, now func() time.Time) (*Credentials, error) {
	authority, err := pki.LoadOrCreate(dir.PKI(), EtcdCA, now)
	if err != nil {
		return nil, err
	}
	leaves := map[string]pki.Leaf{
		Etcd:       {CommonName: Etcd, Hosts: []string{state.Loopback, "localhost"}},
		EtcdClient: {CommonName: EtcdClient},
	}
	if err := storeLeaves(dir, authority, leaves); err != nil {
		return nil, err
	}
	pair, err := authority.Issue(pki.Leaf{CommonName: "localcluster-probe"})
	return &Credentials{EtcdCAPEM: authority.CertPEM(), EtcdPair: pair}, err
}

func storeLeaves(dir state.Dir, authority *pki.Authority, leaves map[string]pki.Leaf) error {
	for name, leaf := range leaves {
		pair, err := authority.Issue(leaf)
		if err != nil {
			return err
		}
		if err := pair.Store(dir.PKI(), name); err != nil {
			return err
		}
	}
	return nil
}

func writeKubeconfigs(dir state.Dir, config state.Config, authority *pki.Authority) (admin pki.Pair, err error) {
	users := map[string]pki.Leaf{
		"admin":           AdminLeaf(),
		ControllerManager: {CommonName: "system:kube-controller-manager"},
		CertManager:       {CommonName: "system:cert-manager", Organizations: []string{masters}},
	}
	for name, leaf := range users {
		data, pair, err := UserKubeconfig(authority, config, leaf, "")
		if err != nil {
			return admin, err
		}
		if err := kubeconfig.Write(dir.Kubeconfig(name), data); err != nil {
			return admin, err
		}
		if name == "admin" {
			admin = pair
		}
	}
	return admin, nil
}

// AdminLeaf returns the certificate template of the administrator.
func AdminLeaf() pki.Leaf {
	return pki.Leaf{CommonName: "localcluster-admin", Organizations: []string{masters}}
}

// UserKubeconfig signs a client certificate and renders a kubeconfig around it.
func UserKubeconfig(authority *pki.Authority, config state.Config, leaf pki.Leaf, namespace string) ([]byte, pki.Pair, error) {
	pair, err := authority.Issue(leaf)
	if err != nil {
		return nil, pair, err
	}
	data, err := kubeconfig.Render(kubeconfig.Access{
		Cluster: ClusterName, Server: config.Server(), CAPEM: authority.CertPEM(),
		User: leaf.CommonName, CertPEM: pair.CertPEM, KeyPEM: pair.KeyPEM, Namespace: namespace,
	})
	return data, pair, err
}
