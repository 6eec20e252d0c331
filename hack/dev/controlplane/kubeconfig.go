package controlplane

import (
	"context"
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// UseExisting returns an existing cluster, reached through an administrator's kubeconfig. The cluster needs
// cert-manager; its components cannot be stopped.
func UseExisting(kubeconfig string) (*Cluster, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	c := &Cluster{root: root, ready: ready{Kubeconfig: kubeconfig}}
	return c, c.connect()
}

// WriteUserKubeconfig writes a kubeconfig for a user with the given groups. It contains a client
// certificate on a cluster of localcluster, and impersonation by the administrator on any other.
func (c *Cluster) WriteUserKubeconfig(ctx context.Context, path, user string, groups ...string) error {
	if c.state == "" {
		return WriteKubeconfig(path, c.UserConfig(user, groups...))
	}
	args := []string{"kubeconfig", "--state", c.state, "--user", user, "--out", path}
	for _, group := range groups {
		args = append(args, "--group", group)
	}
	out, err := c.command(ctx, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make a kubeconfig for %s: %w: %s", user, err, out)
	}
	return nil
}

// WriteKubeconfig writes an access as a self-contained kubeconfig with mode 0600.
func WriteKubeconfig(path string, access *rest.Config) error {
	if err := rest.LoadTLSFiles(access); err != nil {
		return fmt.Errorf("read TLS files: %w", err)
	}
	written := clientcmdapi.NewConfig()
	written.CurrentContext = "default"
	written.Contexts["default"] = &clientcmdapi.Context{Cluster: "default", AuthInfo: "default"}
	written.Clusters["default"] = &clientcmdapi.Cluster{Server: access.Host, CertificateAuthorityData: access.CAData, TLSServerName: access.ServerName}
	written.AuthInfos["default"] = &clientcmdapi.AuthInfo{
		ClientCertificateData: access.CertData, ClientKeyData: access.KeyData, Token: access.BearerToken, TokenFile: access.BearerTokenFile,
		Impersonate: access.Impersonate.UserName, ImpersonateGroups: access.Impersonate.Groups,
	}
	return clientcmd.WriteToFile(*written, path)
}
