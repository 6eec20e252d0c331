package certificates

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// apply leaves the request in the Node's status. The field belongs to the replicas
// together, the newest request counts: hence one manager for all of them, and force.
func (r *Requester) apply(ctx context.Context, request Request) error {
	wish, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&v1alpha1.NodeCertificateRequest{
		Request:       request.CSR,
		Purpose:       request.Purpose,
		Proof:         request.Proof,
		RequestedTime: r.now(),
	})
	if err != nil {
		return fmt.Errorf("encode certificate request: %w", err)
	}
	node := request.Node
	object := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{
			"namespace": node.Namespace,
			"name":      node.Name,
			// Refused when the Node was deleted and made anew meanwhile.
			"uid": string(node.UID),
		},
		"status": map[string]any{"certificateRequest": wish},
	}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Node"))
	err = r.options.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(object),
		client.FieldOwner(v1alpha1.FieldManagerCertificate), client.ForceOwnership)
	if apierrors.IsNotFound(err) {
		return ErrNodeGone
	}
	if err != nil {
		return fmt.Errorf("leave the certificate request of Node %s/%s: %w", node.Namespace, node.Name, err)
	}
	return nil
}
