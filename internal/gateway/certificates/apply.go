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

// writeRequest writes the request into the Node's status. The field belongs to all replicas
// together and the newest request counts. Hence they share one field manager and force the
// ownership.
func (r *Requester) writeRequest(ctx context.Context, request Request) error {
	encoded, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&v1alpha1.NodeCertificateRequest{
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
			// The API server refuses the apply if the Node was deleted and created again.
			"uid": string(node.UID),
		},
		"status": map[string]any{"certificateRequest": encoded},
	}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Node"))
	err = r.options.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(object),
		client.FieldOwner(v1alpha1.FieldManagerCertificate), client.ForceOwnership)
	if apierrors.IsNotFound(err) {
		return ErrNodeGone
	}
	if err != nil {
		return fmt.Errorf("write the certificate request of Node %s/%s: %w", node.Namespace, node.Name, err)
	}
	return nil
}
