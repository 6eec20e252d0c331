package controlplane

import (
	"context"
	"errors"
	"fmt"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/config"
	"github.com/mooring-dev/mooring/hack/dev/poll"
)

const (
	fieldOwner = client.FieldOwner("mooring-test")
	// waitTimeout bounds each wait for the effect of an object.
	waitTimeout = time.Minute
)

// InstallAll applies every manifest of config, as "kubectl apply -k config/default" does, and waits
// until all of them have taken effect. It may be called twice.
func (c *Cluster) InstallAll(ctx context.Context) error {
	if err := c.InstallCRDs(ctx); err != nil {
		return err
	}
	if err := c.Apply(ctx, config.DirRBAC); err != nil {
		return err
	}
	if err := c.InstallPolicies(ctx); err != nil {
		return err
	}
	if err := c.Apply(ctx, config.DirCertManager); err != nil {
		return err
	}
	return c.waitCertificates(ctx)
}

// InstallCRDs applies the CRDs and waits until they are served. It also makes the first request of
// each kind, which is slow.
func (c *Cluster) InstallCRDs(ctx context.Context) error {
	if err := c.Apply(ctx, config.DirCRD); err != nil {
		return err
	}
	crds, err := config.Objects(config.DirCRD)
	if err != nil {
		return err
	}
	for _, crd := range crds {
		if err := c.waitCondition(ctx, crd, string(apiextensionsv1.Established)); err != nil {
			return err
		}
	}
	for _, list := range []client.ObjectList{
		&v1alpha1.NodeList{}, &v1alpha1.PairingCodeList{}, &v1alpha1.PairingRequestList{}, &v1alpha1.CapabilityDispatchList{},
	} {
		if err := await(ctx, func(ctx context.Context) error { return c.client.List(ctx, list) }); err != nil {
			return fmt.Errorf("list %T for the first time: %w", list, err)
		}
	}
	return nil
}

// InstallPolicies applies the admission policies and waits until they take effect. CRDs and roles
// must be installed before.
func (c *Cluster) InstallPolicies(ctx context.Context) error {
	if err := c.Apply(ctx, config.DirPolicy); err != nil {
		return err
	}
	if err := await(ctx, c.CheckPolicies); err != nil {
		return fmt.Errorf("wait for the admission policies to take effect: %w", err)
	}
	return nil
}

// Apply applies one directory of config by server-side apply.
func (c *Cluster) Apply(ctx context.Context, dir string) error {
	objects, err := config.Objects(dir)
	if err != nil {
		return err
	}
	for _, object := range objects {
		// The REST mapping of a new CRD may be late for a moment; an invalid object stays invalid.
		var invalid error
		err := await(ctx, func(ctx context.Context) error {
			err := c.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), fieldOwner, client.ForceOwnership)
			if apierrors.IsInvalid(err) {
				invalid = err
				return nil
			}
			return err
		})
		if err := errors.Join(err, invalid); err != nil {
			return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

func (c *Cluster) waitCertificates(ctx context.Context) error {
	objects, err := config.Objects(config.DirCertManager)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := c.waitCondition(ctx, object, "Ready"); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) waitCondition(ctx context.Context, object *unstructured.Unstructured, condition string) error {
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(object.GroupVersionKind())
	err := await(ctx, func(ctx context.Context) error {
		if err := c.client.Get(ctx, client.ObjectKeyFromObject(object), live); err != nil {
			return err
		}
		if !hasTrueCondition(live, condition) {
			return fmt.Errorf("condition %s is not True", condition)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

func hasTrueCondition(object *unstructured.Unstructured, condition string) bool {
	list, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, item := range list {
		fields, ok := item.(map[string]any)
		if ok && fields["type"] == condition && fields["status"] == string(metav1.ConditionTrue) {
			return true
		}
	}
	return false
}

// await repeats an attempt until it succeeds, and returns its last error when the time is over.
func await(ctx context.Context, attempt func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	return poll.UntilNil(ctx, attempt)
}
