package session

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// maxRetry is the longest pause between two tries of a write that was refused.
const maxRetry = 30 * time.Second

// sizeRefusals are parts of the errors of etcd and its client for a request that is too large. The
// API server passes them on as its own failure.
var sizeRefusals = []string{"etcdserver: request is too large", "message larger than max"}

// sizeRefused reports whether an object was refused because it is too large.
func sizeRefused(err error) bool {
	return apierrors.IsRequestEntityTooLargeError(err) || (err != nil && slices.ContainsFunc(sizeRefusals, func(part string) bool {
		return strings.Contains(err.Error(), part)
	}))
}

// contentRefused reports whether an object was refused for its content: for its size, by its
// schema, or by a policy or webhook of the cluster. The same object is refused again.
func contentRefused(err error) bool {
	return refusedBody(err) || sizeRefused(err) || denied(err)
}

// denied reports whether a policy or a webhook refused an object. A missing right of the gateway is
// Forbidden, too, but another object would fare no better.
func denied(err error) bool {
	return apierrors.IsForbidden(err) &&
		(strings.Contains(err.Error(), "denied request: ") || strings.Contains(err.Error(), "denied the request"))
}

// refusedBody reports whether the API server would refuse the same body again.
func refusedBody(err error) bool {
	return apierrors.IsBadRequest(err) || apierrors.IsInvalid(err)
}

// refused reports whether the API server answered a write with a refusal that concerns this
// object. Trying again at once does not help, and waiting must not keep other objects back.
func refused(err error) bool {
	if contentRefused(err) {
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

// postpone lets a dispatch whose write was refused wait, longer each time.
func (s *session) postpone(e *entry) {
	e.retryAt = s.service.Clock.Now().Add(min(blockedRetry<<min(e.refusals, 8), maxRetry))
	e.refusals++
	s.wakeBy(e.retryAt)
}

// postponed reports whether a dispatch waits after a refused write, and wakes the session after it.
func (s *session) postponed(e *entry) bool {
	if !s.service.Clock.Now().Before(e.retryAt) {
		return false
	}
	s.wakeBy(e.retryAt)
	return true
}
