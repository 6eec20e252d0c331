package apicall

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// sizeRefusals are parts of the errors that etcd and its client return for a request that is too
// large. The API server returns them as an internal error.
var sizeRefusals = []string{"etcdserver: request is too large", "message larger than max"}

// IsSizeRefusal reports whether an object was refused because it is too large.
func IsSizeRefusal(err error) bool {
	return apierrors.IsRequestEntityTooLargeError(err) || (err != nil && slices.ContainsFunc(sizeRefusals, func(part string) bool {
		return strings.Contains(err.Error(), part)
	}))
}

// IsContentRefusal reports whether an object was refused for its content: for its size, by its
// schema, or by a policy or webhook of the cluster. The same object would be refused again.
func IsContentRefusal(err error) bool {
	return IsBodyRefusal(err) || IsSizeRefusal(err) || isPolicyDenial(err)
}

// isPolicyDenial reports whether a policy or a webhook refused an object. A missing permission of the
// gateway is Forbidden, too, but then every other object would be refused as well.
func isPolicyDenial(err error) bool {
	return apierrors.IsForbidden(err) &&
		(strings.Contains(err.Error(), "denied request: ") || strings.Contains(err.Error(), "denied the request"))
}

// IsBodyRefusal reports whether the API server would refuse the same body again.
func IsBodyRefusal(err error) bool {
	return apierrors.IsBadRequest(err) || apierrors.IsInvalid(err)
}

// IsRefusal reports whether the API server refused a write because of its object. An immediate
// retry does not help, and the wait before a retry must not delay other objects.
func IsRefusal(err error) bool {
	if IsContentRefusal(err) {
		return true
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	switch code := status.Status().Code; code {
	case http.StatusUnauthorized, http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return false
	default:
		return code >= 400 && code < 500
	}
}
