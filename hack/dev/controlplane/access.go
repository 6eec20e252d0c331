package controlplane

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// AdminConfig returns the access of a member of system:masters.
func (c *Cluster) AdminConfig() *rest.Config { return rest.CopyConfig(c.admin) }

// Client returns a client with the access of `AdminConfig`, without a cache.
func (c *Cluster) Client() client.Client { return c.client }

// Kubeconfig returns the path of the kubeconfig of `AdminConfig`.
func (c *Cluster) Kubeconfig() string { return c.ready.Kubeconfig }

// State returns the state directory of the cluster.
func (c *Cluster) State() string { return c.state }

// AuditLog returns the path of the audit log; empty without Options.Audit.
func (c *Cluster) AuditLog() string { return c.ready.Audit }

// UserConfig returns the access of a user with exactly the given groups (and system:authenticated).
func (c *Cluster) UserConfig(user string, groups ...string) *rest.Config {
	config := rest.CopyConfig(c.admin)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return config
}

// ServiceAccountConfig returns the access of a ServiceAccount with a real token, valid for an hour.
func (c *Cluster) ServiceAccountConfig(ctx context.Context, namespace, name string) (*rest.Config, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	review := &authenticationv1.TokenRequest{}
	if err := c.client.SubResource("token").Create(ctx, account, review); err != nil {
		return nil, fmt.Errorf("request a token of ServiceAccount %s/%s: %w", namespace, name, err)
	}
	config := rest.AnonymousClientConfig(c.admin)
	config.QPS, config.Burst = c.admin.QPS, c.admin.Burst
	config.BearerToken = review.Status.Token
	return config, nil
}
