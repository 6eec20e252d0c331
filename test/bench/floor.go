package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/test/sim"
)

// floorWorkers equals the number of machines that pair at a time.
const floorWorkers = 16

// floor is a cluster without Mooring's processes. A plain client repeats on it the writes that were
// counted for pairings, with the content of one of them.
type floor struct {
	cluster   *controlplane.Cluster
	client    client.WithWatch
	plan      counts
	templates map[string]*unstructured.Unstructured // by resource
	stop      context.CancelFunc
	watches   errgroup.Group

	mu      sync.Mutex
	signed  map[string]chan struct{} // by name of the CertificateRequest
	created int
}

func newFloor(ctx context.Context, p *pairingArm, plan counts) (_ *floor, err error) {
	f := &floor{plan: plan, signed: map[string]chan struct{}{}, stop: func() {}}
	if f.templates, err = p.objectTemplates(ctx); err != nil {
		return nil, fmt.Errorf("read the objects of a pairing: %w", err)
	}
	if f.cluster, err = controlplane.Start(ctx, controlplane.Options{Own: true, Fsync: true}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	if err := f.cluster.InstallAll(ctx); err != nil {
		return nil, err
	}
	if f.client, err = sim.NewClient(f.cluster.AdminConfig()); err != nil {
		return nil, err
	}
	if err := f.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: floorNamespace}}); err != nil {
		return nil, err
	}
	following, stop := context.WithCancel(ctx)
	f.stop = stop
	ready := make(chan struct{})
	f.watches.Go(func() error {
		return sim.ListAndWatch(following, f.client, &certmanagerv1.CertificateRequestList{}, f.handleCertificateRequest, ready, client.InNamespace(v1alpha1.SystemNamespace))
	})
	<-ready
	return f, nil
}

func (f *floor) close() error {
	f.stop()
	_ = f.watches.Wait() // it returns the error of its context
	return f.cluster.Close()
}

// objectTemplates returns the objects of one pairing, ready to be created again.
func (p *pairingArm) objectTemplates(ctx context.Context) (map[string]*unstructured.Unstructured, error) {
	fleet := p.fleets[0]
	key := client.ObjectKey{Namespace: fleet.Namespace, Name: fleet.Agents()[0].Name}
	code, node, secret := &v1alpha1.PairingCode{}, &v1alpha1.Node{}, &corev1.Secret{}
	if err := errors.Join(fleet.Client.Get(ctx, key, code), fleet.Client.Get(ctx, key, node)); err != nil {
		return nil, err
	}
	if err := fleet.Client.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: code.Status.SecretName}, secret); err != nil {
		return nil, err
	}
	var requests v1alpha1.PairingRequestList
	if err := fleet.Client.List(ctx, &requests, client.InNamespace(key.Namespace), client.Limit(1)); err != nil {
		return nil, err
	}
	if len(requests.Items) == 0 {
		return nil, errors.New("no PairingRequest is left")
	}
	var events eventsv1.EventList
	if err := fleet.Client.List(ctx, &events, client.InNamespace(key.Namespace), client.Limit(1)); err != nil {
		return nil, err
	}
	if len(events.Items) == 0 {
		return nil, errors.New("no Event is left")
	}
	events.Items[0].Regarding.Namespace = floorNamespace // an Event must be in the namespace of its object
	templates := map[string]*unstructured.Unstructured{}
	for resource, o := range map[string]client.Object{"pairingcodes": code, "nodes": node, "secrets": secret,
		"pairingrequests": &requests.Items[0], "events": &events.Items[0]} {
		model, err := templateOf(o, fleet.Client.Scheme())
		if err != nil {
			return nil, err
		}
		templates[resource] = model
	}
	unstructured.RemoveNestedField(templates["pairingrequests"].Object, "spec", "decision")
	return templates, nil
}

func templateOf(o client.Object, scheme *runtime.Scheme) (*unstructured.Unstructured, error) {
	kind, err := apiutil.GVKForObject(o, scheme)
	if err != nil {
		return nil, err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, err
	}
	template := &unstructured.Unstructured{Object: content}
	template.SetGroupVersionKind(kind)
	labels, annotations := o.GetLabels(), o.GetAnnotations()
	unstructured.RemoveNestedField(content, "metadata")
	template.SetLabels(labels)
	template.SetAnnotations(annotations)
	return template, nil
}

func (f *floor) workerProcesses(ctx context.Context) (workerPIDs, error) {
	return workerPIDsOf(ctx, f.cluster)
}

// round does the writes of the given number of pairings.
func (f *floor) round(ctx context.Context, pairings int) (time.Duration, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(floorWorkers)
	began := time.Now()
	for n := range pairings {
		f.created++
		name := fmt.Sprintf("floor-%05d", f.created)
		group.Go(func() error {
			if err := f.pair(ctx, name, n); err != nil {
				return fmt.Errorf("repeat the writes of the pairing of %s: %w", name, err)
			}
			return nil
		})
	}
	err := group.Wait()
	return time.Since(began), err
}
