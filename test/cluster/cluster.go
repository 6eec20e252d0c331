// Package cluster provides tests with the control plane of hack/dev/controlplane.
//
// MOORING_TEST_STATE names the state directory of a running control plane. Tests that use only
// namespaces of their own share that control plane. Without the variable, and for tests that break
// components, each package starts its own. It ends with the test process, even when that is killed.
package cluster

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
)

// Cluster is a running control plane with the steps of tests.
type Cluster struct{ *controlplane.Cluster }

// Start returns the shared control plane or starts a new one.
func Start(ctx context.Context, options controlplane.Options) (*Cluster, error) {
	c, err := controlplane.Start(ctx, options)
	if err != nil {
		return nil, err
	}
	return Of(c), nil
}

// Of returns a control plane that runs already.
func Of(c *controlplane.Cluster) *Cluster { return &Cluster{c} }

// ClientFor returns a client without a cache for the given access.
func (c *Cluster) ClientFor(t testing.TB, config *rest.Config) client.Client {
	t.Helper()
	newClient, err := client.New(config, client.Options{Scheme: controlplane.Scheme(), Mapper: c.Client().RESTMapper()})
	if err != nil {
		t.Fatalf("make a client: %v", err)
	}
	return newClient
}

// Namespace creates a namespace for the test. The end of the test deletes it, without waiting.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "fleet-" + rand.String(8)}}
	if err := c.Client().Create(t.Context(), namespace); err != nil {
		t.Fatalf("create a namespace: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := c.Client().Delete(ctx, namespace); err != nil {
			t.Logf("delete namespace %s: %v", namespace.Name, err)
		}
	})
	return namespace.Name
}
