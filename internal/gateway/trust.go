package gateway

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

// Trust holds the two CA bundles of ConfigMap mooring-trust as last read. An unreadable bundle
// never replaces a good one: it is logged and the old one stays.
type Trust struct {
	log logr.Logger

	mu      sync.RWMutex
	server  identity.Bundle
	device  identity.Bundle
	pool    *x509.CertPool
	problem error
	changed chan struct{}
}

// NewTrust returns a Trust that trusts no CA until a ConfigMap is read.
func NewTrust(log logr.Logger) *Trust {
	return &Trust{
		log:     log,
		problem: fmt.Errorf("ConfigMap %s does not exist yet: the controller writes it once both CAs are issued", v1alpha1.TrustConfigMap),
		changed: make(chan struct{}),
	}
}

// Server returns the bundle with which machines verify gateways. It is zero before it is known.
func (t *Trust) Server() identity.Bundle {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.server
}

// Device returns the bundle with which gateways verify machines. It is zero before it is known.
func (t *Trust) Device() identity.Bundle {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.device
}

// Check returns nil when both bundles are known and the newest ConfigMap could be read.
func (t *Trust) Check() error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.problem
}

// Changed returns a channel that is closed at the next change.
func (t *Trust) Changed() <-chan struct{} {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.changed
}

// devicePool returns the device bundle as roots. Before the bundle is known it returns nil, which
// trusts no machine.
func (t *Trust) devicePool() *x509.CertPool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.pool
}

// Update replaces the bundles by the content of a ConfigMap.
func (t *Trust) Update(config *corev1.ConfigMap) {
	server, err := parseBundle(config, v1alpha1.TrustServerCAKey)
	device, deviceErr := parseBundle(config, v1alpha1.TrustDeviceCAKey)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.problem = errors.Join(err, deviceErr)
	if t.problem != nil {
		t.log.Error(t.problem, "cannot use the trust bundles, keeping the last good ones")
		return
	}
	if server.SHA256() == t.server.SHA256() && device.SHA256() == t.device.SHA256() {
		return
	}
	t.server, t.device, t.pool = server, device, device.Pool()
	close(t.changed)
	t.changed = make(chan struct{})
	t.log.Info("trust bundles loaded", "server", server.SHA256(), "device", device.SHA256())
}

func parseBundle(config *corev1.ConfigMap, key string) (identity.Bundle, error) {
	bundle, err := identity.ParseBundle([]byte(config.Data[key]))
	if err != nil {
		return identity.Bundle{}, fmt.Errorf("read %s of ConfigMap %s/%s: %w", key, config.Namespace, config.Name, err)
	}
	return bundle, nil
}

// Follow updates the Trust from an informer. It returns after the handler is registered; the cache
// owns the goroutines.
func (t *Trust) Follow(ctx context.Context, from cache.Cache, namespace string) error {
	informer, err := from.GetInformer(ctx, &corev1.ConfigMap{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watch ConfigMap %s/%s: %w", namespace, v1alpha1.TrustConfigMap, err)
	}
	handle := func(obj any) {
		config, ok := obj.(*corev1.ConfigMap)
		if ok && config.Namespace == namespace && config.Name == v1alpha1.TrustConfigMap {
			t.Update(config)
		}
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    handle,
		UpdateFunc: func(_, obj any) { handle(obj) },
		// A deletion changes nothing: trust must not end by accident.
	})
	if err != nil {
		return fmt.Errorf("watch ConfigMap %s/%s: %w", namespace, v1alpha1.TrustConfigMap, err)
	}
	return nil
}
