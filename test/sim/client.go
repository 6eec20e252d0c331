package sim

import (
	"context"
	"fmt"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/test/cluster"
)

// NewClient makes a client of the kinds that a Fleet needs, without client-side limits.
func NewClient(access *rest.Config) (client.Client, error) {
	access = rest.CopyConfig(access)
	access.QPS = -1
	scheme := cluster.Scheme()
	if err := certmanagerv1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	return client.New(access, client.Options{Scheme: scheme})
}

// AwaitSessions waits until so many sessions have opened over the life of the fleet.
func (f *Fleet) AwaitSessions(ctx context.Context, want int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for f.Summarise().Sessions < want {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d sessions have opened: %w", f.Summarise().Sessions, want, ctx.Err())
		}
	}
	return nil
}
