package sim

import (
	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
)

// NewClient returns a client for the kinds that a Fleet needs, without client-side limits.
func NewClient(access *rest.Config) (client.WithWatch, error) {
	access = rest.CopyConfig(access)
	access.QPS = -1
	scheme := controlplane.Scheme()
	if err := certmanagerv1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	return client.NewWithWatch(access, client.Options{Scheme: scheme})
}
