package main

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/cmd/manager/bootstrap"
	"github.com/mooring-dev/mooring/internal/gateway/session"
	"github.com/mooring-dev/mooring/internal/gateway/wakeup"
)

// newGatewayManager returns the manager of a gateway. It has no leader, and it caches exactly the
// objects that its rights allow it to watch.
func newGatewayManager(config *rest.Config, c gatewayConfig) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return ctrl.NewManager(config, manager.Options{
		Scheme:                  scheme,
		Cache:                   cache.Options{ByObject: gatewayCache(c), DefaultTransform: cache.TransformStripManagedFields()},
		Metrics:                 metricsserver.Options{BindAddress: c.metricsBindAddress},
		HealthProbeBindAddress:  "0", // probes.go serves the probes before the manager exists
		LeaderElection:          false,
		GracefulShutdownTimeout: ptr.To(bootstrap.ShutdownTimeout),
	})
}

// gatewayCache selects the objects to cache: all Nodes, the unfinished dispatches, the pairing
// requests, the trust bundles, and the records of codes.
func gatewayCache(c gatewayConfig) map[client.Object]cache.ByObject {
	strip := cache.TransformStripManagedFields()
	objects := map[client.Object]cache.ByObject{
		&v1alpha1.PairingRequest{}: {Transform: strip},
		&corev1.Secret{}:           {Namespaces: map[string]cache.Config{c.pairingNamespace: {}}, Transform: strip},
		&corev1.ConfigMap{}: {Namespaces: map[string]cache.Config{c.systemNamespace: {
			FieldSelector: fields.OneTermEqualSelector("metadata.name", v1alpha1.TrustConfigMap),
		}}, Transform: strip},
	}
	maps.Copy(objects, session.CacheByObject())
	return objects
}

// gatewayHubs wake the calls that wait for a Node or a pairing request.
type gatewayHubs struct{ nodes, requests *wakeup.Hub }

// watch registers the hubs with the informers. It also starts the watch of the records, which
// otherwise begins in the middle of a flood.
func (h gatewayHubs) watch(ctx context.Context, from cache.Cache) error {
	for kind, hub := range map[client.Object]*wakeup.Hub{
		&v1alpha1.Node{}: h.nodes, &v1alpha1.PairingRequest{}: h.requests, &corev1.Secret{}: nil,
	} {
		informer, err := from.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watch %T: %w", kind, err)
		}
		if hub == nil {
			continue
		}
		if _, err := informer.AddEventHandler(hub); err != nil {
			return fmt.Errorf("watch %T: %w", kind, err)
		}
	}
	return nil
}
