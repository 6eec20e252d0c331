package trust

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/backoff"
	"github.com/mooring-dev/mooring/controllers/report"
)

// copyInterval is the interval at which the copies are applied again. The controller cannot watch
// them, because it may not read other namespaces. The API server does not store an apply without
// changes.
const copyInterval = time.Minute

// trustCopies maintains copies of ConfigMap mooring-trust in other namespaces, where agents in pods
// mount them. A copy holds only the CAs of the gateways.
type trustCopies struct {
	client     client.Client
	events     events.EventRecorder
	namespaces []string
	failing    map[string]string // last problem by namespace, so that a lasting problem is logged once
}

// applyAll applies all copies. A failed copy is logged and tried again a minute later. It delays
// neither the other namespaces nor the bundles themselves.
func (c *trustCopies) applyAll(ctx context.Context, serverCA string) {
	for _, namespace := range c.namespaces {
		config := corev1ac.ConfigMap(v1alpha1.TrustConfigMap, namespace).WithData(map[string]string{v1alpha1.TrustServerCAKey: serverCA})
		err := c.client.Apply(ctx, config, client.FieldOwner(v1alpha1.FieldManagerController), client.ForceOwnership)
		problem := ""
		if err != nil {
			problem = err.Error()
		}
		if log := ctrl.LoggerFrom(ctx).WithValues("namespace", namespace); problem != c.failing[namespace] {
			if err != nil {
				explained := explainCopyError(err, namespace)
				log.Error(explained, "cannot copy the gateways' CA for agents in pods")
				configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.TrustConfigMap}}
				report.Emit(c.events, configMap, corev1.EventTypeWarning, backoff.FailureReason(err), "CopyTrust", explained.Error())
			} else {
				log.Info("copied the gateways' CA for agents in pods")
			}
		}
		c.failing[namespace] = problem
	}
}

// explainCopyError adds to an error the missing right or the object.
func explainCopyError(err error, namespace string) error {
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("a Role there must let %s create and patch ConfigMap %s: %w", v1alpha1.ControllerServiceAccount, v1alpha1.TrustConfigMap, err)
	}
	return fmt.Errorf("apply ConfigMap %s/%s: %w", namespace, v1alpha1.TrustConfigMap, err)
}
