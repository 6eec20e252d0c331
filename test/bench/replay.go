package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

const (
	floorNamespace = "floor"
	floorOwner     = client.FieldOwner("floor")
)

// writeCount returns how many writes the nth machine does: the fractions of the plan add up over the
// machines.
func (f *floor) writeCount(verb, resource string, n int) int {
	each := f.plan[verb+" "+resource]
	return int(math.Round(each*float64(n+1))) - int(math.Round(each*float64(n)))
}

// pair does the writes of one pairing, one after the other.
func (f *floor) pair(ctx context.Context, name string, n int) error {
	for _, resource := range []string{"pairingcodes", "secrets", "pairingrequests", "nodes", "events"} {
		if err := f.writeKind(ctx, resource, name, n); err != nil {
			return fmt.Errorf("%s: %w", resource, err)
		}
	}
	for i := range f.writeCount("POST", "certificaterequests", n) {
		if err := f.signCertificate(ctx, fmt.Sprintf("%s-%d", name, i)); err != nil {
			return fmt.Errorf("certificaterequests: %w", err)
		}
	}
	return nil
}

// writeKind creates the objects of a kind, changes the first, and deletes the last.
func (f *floor) writeKind(ctx context.Context, resource, name string, n int) error {
	var created []*unstructured.Unstructured
	for i := range f.writeCount("POST", resource, n) {
		o := f.templates[resource].DeepCopy()
		o.SetNamespace(floorNamespace)
		o.SetName(fmt.Sprintf("%s-%d", name, i))
		if err := f.client.Create(ctx, o); err != nil {
			return err
		}
		created = append(created, o)
	}
	if len(created) == 0 {
		return nil
	}
	change := 0
	for _, verb := range []string{"PUT", "PATCH", "APPLY"} {
		for range f.writeCount(verb, resource, n) {
			if err := f.change(ctx, verb, created[0], change); err != nil {
				return fmt.Errorf("%s: %w", verb, err)
			}
			change++
		}
		for range f.writeCount(verb, resource+"/status", n) {
			if err := f.changeStatus(ctx, verb, created[0], f.templates[resource], change); err != nil {
				return fmt.Errorf("%s status: %w", verb, err)
			}
			change++
		}
	}
	for i := range min(f.writeCount("DELETE", resource, n), len(created)) {
		if err := f.client.Delete(ctx, created[len(created)-1-i]); err != nil {
			return err
		}
	}
	return nil
}

// change writes a small change of the object itself.
func (f *floor) change(ctx context.Context, verb string, o *unstructured.Unstructured, n int) error {
	if verb == "PUT" {
		annotations := o.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations["bench"] = fmt.Sprint(n)
		o.SetAnnotations(annotations)
		return f.client.Update(ctx, o)
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"bench":"%d"}}}`, n)
	return f.client.Patch(ctx, o, client.RawPatch(types.MergePatchType, patch))
}

// changeStatus writes the status of the model with a new condition in it: the API server stores
// nothing when an object is unchanged.
func (f *floor) changeStatus(ctx context.Context, verb string, o, model *unstructured.Unstructured, n int) error {
	status, _, err := unstructured.NestedMap(model.Object, "status")
	if err != nil {
		return err
	}
	conditions, _, err := unstructured.NestedSlice(status, "conditions")
	if err != nil {
		return err
	}
	status["conditions"] = append(conditions, map[string]any{"type": "Bench", "status": "True", "reason": "Bench", "message": fmt.Sprint(n),
		"lastTransitionTime": time.Now().UTC().Format(time.RFC3339)})
	switch verb {
	case "PUT":
		o.Object["status"] = status
		return f.client.Status().Update(ctx, o)
	case "APPLY":
		body := &unstructured.Unstructured{Object: map[string]any{"status": status}}
		body.SetGroupVersionKind(o.GroupVersionKind())
		body.SetNamespace(o.GetNamespace())
		body.SetName(o.GetName())
		err := f.client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(body), floorOwner, client.ForceOwnership)
		o.SetResourceVersion("") // the next PUT must not depend on a version
		return err
	default:
		patch, err := json.Marshal(map[string]any{"status": status})
		if err != nil {
			return err
		}
		return f.client.Status().Patch(ctx, o, client.RawPatch(types.MergePatchType, patch))
	}
}

// signCertificate lets cert-manager sign a certificate, waits for it and deletes the request.
func (f *floor) signCertificate(ctx context.Context, name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := identity.NewCSR(key, identity.ID{TrustDomain: "mooring.local", Namespace: floorNamespace, Node: name})
	if err != nil {
		return err
	}
	signed := make(chan struct{})
	f.mu.Lock()
	f.signed[name] = signed
	f.mu.Unlock()
	request := &certmanagerv1.CertificateRequest{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: name},
		Spec: certmanagerv1.CertificateRequestSpec{
			Request:   identity.MarshalCSRPEM(der),
			Duration:  &metav1.Duration{Duration: 24 * time.Hour},
			IssuerRef: cmmeta.IssuerReference{Group: "cert-manager.io", Kind: certmanagerv1.IssuerKind, Name: v1alpha1.DeviceIssuer},
			Usages:    []certmanagerv1.KeyUsage{certmanagerv1.UsageDigitalSignature, certmanagerv1.UsageClientAuth},
		}}
	if err := f.client.Create(ctx, request); err != nil {
		return err
	}
	select {
	case <-signed:
		return f.client.Delete(ctx, request)
	case <-time.After(answerTimeout):
		return fmt.Errorf("cert-manager did not sign within %s", answerTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *floor) handleCertificateRequest(request *certmanagerv1.CertificateRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if signed := f.signed[request.Name]; signed != nil && len(request.Status.Certificate) > 0 {
		close(signed)
		delete(f.signed, request.Name)
	}
}
