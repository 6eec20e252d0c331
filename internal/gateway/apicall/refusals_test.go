package apicall

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestARefusalConcernsItsObjectAlone(t *testing.T) {
	for code, want := range map[int32]bool{399: false, 400: true, 401: false, 403: true, 404: false, 408: false, 409: false, 418: true, 422: true, 429: false, 499: true, 500: false, 503: false} {
		// With a known reason, apierrors does not derive another error from the code.
		err := &apierrors.StatusError{ErrStatus: metav1.Status{Code: code, Reason: metav1.StatusReasonGone}}
		if got := IsRefusal(err); got != want {
			t.Errorf("IsRefusal(%d) = %t, want %t", code, got, want)
		}
	}
	for err, want := range map[error]bool{
		errors.New("another error"): false, context.Canceled: false, errors.New("etcdserver: request is too large"): true, errors.New("trying to send message larger than max"): true,
		apierrors.NewRequestEntityTooLargeError("large"): true, apierrors.NewInvalid(v1alpha1.GroupVersion.WithKind("Node").GroupKind(), "n", nil): true,
	} {
		if got := IsContentRefusal(err); got != want {
			t.Errorf("IsContentRefusal(%v) = %t, want %t", err, got, want)
		}
	}
	if IsSizeRefusal(nil) || IsContentRefusal(nil) {
		t.Error("a nil error counts as a refusal")
	}
}
