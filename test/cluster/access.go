package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
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

// ClientFor returns a client without a cache for the given access.
func (c *Cluster) ClientFor(t testing.TB, config *rest.Config) client.Client {
	t.Helper()
	newClient, err := client.New(config, client.Options{Scheme: Scheme(), Mapper: c.client.RESTMapper()})
	if err != nil {
		t.Fatalf("make a client: %v", err)
	}
	return newClient
}

// Namespace creates a namespace for the test. The end of the test deletes it, without waiting.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "fleet-" + rand.String(8)}}
	if err := c.client.Create(t.Context(), namespace); err != nil {
		t.Fatalf("create a namespace: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := c.client.Delete(ctx, namespace); err != nil {
			t.Logf("delete namespace %s: %v", namespace.Name, err)
		}
	})
	return namespace.Name
}

// Eventually polls a condition until it holds, for at most a minute; then it fails the test.
func Eventually(t testing.TB, holds func() bool, format string, args ...any) {
	t.Helper()
	deadline := time.Now().Add(pollTimeout)
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf(format, args...)
		}
		<-ticker.C
	}
}
