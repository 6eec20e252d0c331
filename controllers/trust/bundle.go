package trust

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

// ErrPending means that a bundle is not known yet.
var ErrPending = errors.New("ConfigMap " + v1alpha1.TrustConfigMap + " is not complete: are the CA Issuers there and is cert-manager running?")

// ReadBundle reads the bundle under key of the ConfigMap mooring-trust. It returns ErrPending
// while there is none.
func ReadBundle(ctx context.Context, reader client.Reader, namespace, key string) (identity.Bundle, error) {
	config := &corev1.ConfigMap{}
	err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: v1alpha1.TrustConfigMap}, config)
	if apierrors.IsNotFound(err) || err == nil && config.Data[key] == "" {
		return identity.Bundle{}, ErrPending
	}
	if err != nil {
		return identity.Bundle{}, fmt.Errorf("read ConfigMap %s/%s: %w", namespace, v1alpha1.TrustConfigMap, err)
	}
	bundle, err := identity.ParseBundle([]byte(config.Data[key]))
	if err != nil {
		return identity.Bundle{}, fmt.Errorf("%s of ConfigMap %s/%s: %w", key, namespace, v1alpha1.TrustConfigMap, err)
	}
	return bundle, nil
}
