package session

import (
	"context"
	"fmt"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	utilcache "k8s.io/apimachinery/pkg/util/cache"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/apicall"
	"github.com/mooring-dev/mooring/internal/gateway/dispatchtable"
)

const (
	// maxCachedReviews bounds the cached results.
	maxCachedReviews = 1024
	// serviceAccountPrefix is the prefix of the user names of ServiceAccounts. Namespace and name
	// follow.
	serviceAccountPrefix = "system:serviceaccount:"
)

// reviewCache caches the results of reviews of requesters, for all sessions.
type reviewCache struct{ cache *utilcache.LRUExpireCache }

func newReviewCache(clock utilcache.Clock) *reviewCache {
	return &reviewCache{utilcache.NewLRUExpireCacheWithClock(maxCachedReviews, clock)}
}

// review returns whether the requester of d may still invoke its capability, from the API server.
func (s *Service) review(ctx context.Context, d *v1alpha1.CapabilityDispatch) (dispatch.Review, error) {
	key := reviewKey(d)
	if cached, ok := s.reviewCache.cache.Get(key); ok {
		return cached.(dispatch.Review), nil
	}
	ctx, cancel := context.WithTimeout(ctx, apicall.Timeout)
	defer cancel()
	allowed, err := s.requesterAllowed(ctx, &d.Spec, d)
	if err != nil {
		s.metrics.reviews.WithLabelValues(dispatchtable.ReviewFailed).Inc()
		return dispatch.ReviewMissing, fmt.Errorf("review the requester of dispatch %s/%s: %w", d.Namespace, d.Name, err)
	}
	result, outcome := dispatch.ReviewRefused, dispatchtable.ReviewRefused
	if allowed {
		result, outcome = dispatch.ReviewPassed, dispatchtable.ReviewAllowed
	}
	s.metrics.reviews.WithLabelValues(outcome).Inc()
	s.reviewCache.cache.Add(key, result, dispatchtable.ReviewTTL)
	return result, nil
}

// reviewKey returns a cache key of all inputs of a review. The length before each part keeps the
// key unambiguous.
func reviewKey(d *v1alpha1.CapabilityDispatch) string {
	var b strings.Builder
	parts := append([]string{d.Namespace, d.Spec.Capability, d.Spec.RequestedBy, d.Spec.RequestedByUID}, d.Spec.RequestedByGroups...)
	if d.Spec.RequestedByUID == "" { // Then the age of the dispatch decides about a ServiceAccount.
		parts = append(parts, d.CreationTimestamp.UTC().Format(time.RFC3339))
	}
	for _, part := range parts {
		fmt.Fprintf(&b, "%d:%s,", len(part), part)
	}
	return b.String()
}

// requesterAllowed reviews access to the full name of the capability, then to its family, in the
// order of the admission policy.
func (s *Service) requesterAllowed(ctx context.Context, spec *v1alpha1.CapabilityDispatchSpec, d *v1alpha1.CapabilityDispatch) (bool, error) {
	if exists, err := s.serviceAccountExists(ctx, spec, d); err != nil || !exists {
		return false, err
	}
	for _, name := range capabilityname.RoleNames(spec.Capability) {
		sar := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: spec.RequestedBy, Groups: spec.RequestedByGroups, UID: spec.RequestedByUID,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: d.Namespace, Verb: v1alpha1.VerbInvoke, Group: v1alpha1.GroupVersion.Group,
				Resource: v1alpha1.ResourceCapabilities, Name: name,
			},
		}}
		if err := s.Client.Create(ctx, sar); err != nil {
			return false, err
		}
		if sar.Status.Allowed {
			return true, nil
		}
	}
	return false, nil
}

// serviceAccountExists reports whether the requesting ServiceAccount still exists under the same
// UID. Other users are managed by the identity provider and count as existing.
func (s *Service) serviceAccountExists(ctx context.Context, spec *v1alpha1.CapabilityDispatchSpec, d *v1alpha1.CapabilityDispatch) (bool, error) {
	account, ok := strings.CutPrefix(spec.RequestedBy, serviceAccountPrefix)
	if !ok {
		return true, nil
	}
	namespace, name, _ := strings.Cut(account, ":")
	live := &corev1.ServiceAccount{}
	err := s.Reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, live)
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, err
	case live.DeletionTimestamp != nil:
		return false, nil
	case spec.RequestedByUID != "":
		return string(live.UID) == spec.RequestedByUID, nil
	default: // Without a recorded UID, an account created after the dispatch is a different account.
		return !d.CreationTimestamp.Before(&live.CreationTimestamp), nil
	}
}
