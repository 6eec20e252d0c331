package controllers

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
)

// copyEvery is how often the copies are applied again. They are not watched: the controller may
// not read other namespaces, and an apply that changes nothing is not stored.
const copyEvery = time.Minute

// trustCopies keeps the CAs of the gateways, and nothing else, in ConfigMap mooring-trust of other
// namespaces, where agents in pods mount it.
type trustCopies struct {
	client     client.Client
	events     events.EventRecorder
	namespaces []string
	failing    map[string]string // by namespace, so that a lasting problem is logged once
}

// write applies all copies. What cannot be written is logged and tried again a minute later: it
// holds up neither the other namespaces nor the bundles themselves.
func (c *trustCopies) write(ctx context.Context, serverCA string) {
	for _, namespace := range c.namespaces {
		config := corev1ac.ConfigMap(v1alpha1.TrustConfigMap, namespace).WithData(map[string]string{v1alpha1.TrustServerCAKey: serverCA})
		err := c.client.Apply(ctx, config, client.FieldOwner(v1alpha1.FieldManagerController), client.ForceOwnership)
		problem := ""
		if err != nil {
			problem = err.Error()
		}
		if log := ctrl.LoggerFrom(ctx).WithValues("namespace", namespace); problem != c.failing[namespace] {
			if err != nil {
				explained := explainCopy(err, namespace)
				log.Error(explained, "the CA of the gateways is not there for agents in pods")
				about := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.TrustConfigMap}}
				announce(c.events, about, corev1.EventTypeWarning, failureReason(err), explained.Error())
			} else {
				log.Info("the CA of the gateways is there for agents in pods")
			}
		}
		c.failing[namespace] = problem
	}
}

// explainCopy says what is missing.
func explainCopy(err error, namespace string) error {
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("a Role there must let %s create and patch ConfigMap %s: %w", v1alpha1.ControllerServiceAccount, v1alpha1.TrustConfigMap, err)
	}
	return fmt.Errorf("apply ConfigMap %s/%s: %w", namespace, v1alpha1.TrustConfigMap, err)
}
