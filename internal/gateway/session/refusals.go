package session

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// maxRetry is the longest pause between two attempts of a refused write.
const maxRetry = 30 * time.Second

// sizeRefusals are parts of the errors that etcd and its client return for a request that is too
// large. The API server returns them as an internal error.
var sizeRefusals = []string{"etcdserver: request is too large", "message larger than max"}

// isSizeRefusal reports whether an object was refused because it is too large.
func isSizeRefusal(err error) bool {
	return apierrors.IsRequestEntityTooLargeError(err) || (err != nil && slices.ContainsFunc(sizeRefusals, func(part string) bool {
		return strings.Contains(err.Error(), part)
	}))
}

// isContentRefusal reports whether an object was refused for its content: for its size, by its
// schema, or by a policy or webhook of the cluster. The same object would be refused again.
func isContentRefusal(err error) bool {
	return isBodyRefusal(err) || isSizeRefusal(err) || isPolicyDenial(err)
}

// isPolicyDenial reports whether a policy or a webhook refused an object. A missing permission of the
// gateway is Forbidden, too, but then every other object would be refused as well.
func isPolicyDenial(err error) bool {
	return apierrors.IsForbidden(err) &&
		(strings.Contains(err.Error(), "denied request: ") || strings.Contains(err.Error(), "denied the request"))
}

// isBodyRefusal reports whether the API server would refuse the same body again.
func isBodyRefusal(err error) bool {
	return apierrors.IsBadRequest(err) || apierrors.IsInvalid(err)
}

// isRefusal reports whether the API server refused a write because of its object. An immediate
// retry does not help, and the wait before a retry must not delay other objects.
func isRefusal(err error) bool {
	if isContentRefusal(err) {
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

// postpone delays a dispatch whose write was refused, longer after each refusal.
func (s *session) postpone(e *entry) {
	e.retryAt = s.service.Clock.Now().Add(min(blockedRetryInterval<<min(e.refusals, 8), maxRetry))
	e.refusals++
	s.wakeBy(e.retryAt)
}

// postponed reports whether a dispatch waits after a refused write, and sets the alarm for the
// end of the wait.
func (s *session) postponed(e *entry) bool {
	if !s.service.Clock.Now().Before(e.retryAt) {
		return false
	}
	s.wakeBy(e.retryAt)
	return true
}
