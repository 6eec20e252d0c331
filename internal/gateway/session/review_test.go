package session

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/dispatchtable"
)

// everybody allows each review.
func everybody(authorizationv1.SubjectAccessReviewSpec) bool { return true }

// sumCounters returns the sum of the counters of a vector, over all labels.
func sumCounters(t *testing.T, vector *prometheus.CounterVec) (sum int) {
	t.Helper()
	metrics := make(chan prometheus.Metric, 16)
	vector.Collect(metrics)
	close(metrics)
	for metric := range metrics {
		var read dto.Metric
		if err := metric.Write(&read); err != nil {
			t.Fatal(err)
		}
		sum += int(read.GetCounter().GetValue())
	}
	return sum
}

// A ServiceAccount that was deleted has no right, whatever a RoleBinding still grants to its name.
func TestADeletedServiceAccountIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		uid     string // stamped in the dispatch; empty in a dispatch of an older version
		account *corev1.ServiceAccount
		want    dispatch.Review
		reviews int
	}{
		"it exists":       {"a", &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{UID: "a"}}, dispatch.ReviewPassed, 1},
		"deleted":         {"a", nil, dispatch.ReviewRefused, 0},
		"deleted, no UID": {"", nil, dispatch.ReviewRefused, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s, at, _ := newStoreSession(c)
			at.allow, at.account = everybody, tt.account
			d := newDispatch(s, c, v1alpha1.DispatchQueued)
			d.Spec.RequestedBy, d.Spec.RequestedByUID = serviceAccountPrefix+"fleet:robot", tt.uid
			c.Step(s.service.ReviewAfter)
			if got, err := s.service.review(t.Context(), d); got != tt.want || err != nil || len(at.reviewed) != tt.reviews {
				t.Errorf("review() = %v, %v after %d SubjectAccessReviews, want %v after %d", got, err, len(at.reviewed), tt.want, tt.reviews)
			}
		})
	}
}

// The previous version stamped neither groups nor UID. Then the right of the user alone counts: a
// right by a group is not assumed.
func TestADispatchFromBeforeTheUpgradeIsReviewedByItsUserAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		allow func(authorizationv1.SubjectAccessReviewSpec) bool
		want  dispatch.Review
	}{
		"the user has the right":  {func(r authorizationv1.SubjectAccessReviewSpec) bool { return r.User == "rita" }, dispatch.ReviewPassed},
		"a group has the right":   {func(r authorizationv1.SubjectAccessReviewSpec) bool { return slices.Contains(r.Groups, "crew") }, dispatch.ReviewRefused},
		"another UID of the name": {func(r authorizationv1.SubjectAccessReviewSpec) bool { return r.UID != "" }, dispatch.ReviewRefused},
	} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s, at, _ := newStoreSession(c)
			at.allow = tt.allow
			d := newDispatch(s, c, v1alpha1.DispatchQueued)
			d.Spec.RequestedBy = "rita"
			c.Step(s.service.ReviewAfter)
			if got, err := s.service.review(t.Context(), d); got != tt.want || err != nil {
				t.Errorf("review() = %v, %v, want %v", got, err, tt.want)
			}
			if len(at.reviewed) != 1 || at.reviewed[0].User != "rita" || len(at.reviewed[0].Groups) != 0 || at.reviewed[0].UID != "" {
				t.Errorf("reviewed %+v, want the user alone", at.reviewed)
			}
		})
	}
}

// The first review is for the full name, the second for the family. Reviews are no writes of the
// dispatch, and each metric counts its own.
func TestAnOfferCostsAtMostTwoReviews(t *testing.T) {
	const name, family = "system.health", "system.*"
	allowName := func(names ...string) func(authorizationv1.SubjectAccessReviewSpec) bool {
		return func(r authorizationv1.SubjectAccessReviewSpec) bool {
			return slices.Contains(names, r.ResourceAttributes.Name)
		}
	}
	for title, tt := range map[string]struct {
		age     time.Duration
		claimed bool // before the offer
		allow   func(authorizationv1.SubjectAccessReviewSpec) bool
		asked   []string
		reviews int
		writes  int
		offers  int
	}{
		"fresh":                     {0, false, nil, nil, 0, 0, 1},
		"fresh, claimed first":      {0, true, nil, nil, 0, 1, 1},
		"almost a minute old":       {time.Minute - time.Second, false, nil, nil, 0, 0, 1},
		"old, right to the name":    {time.Minute, false, allowName(name, family), []string{name}, 1, 0, 1},
		"old, right to the family":  {time.Minute, false, allowName(family), []string{name, family}, 1, 0, 1},
		"old, claimed first":        {time.Minute, true, allowName(family), []string{name, family}, 1, 1, 1},
		"old, without a right":      {time.Minute, false, nil, []string{name, family}, 1, 1, 0},
		"old, right to another one": {time.Minute, false, allowName("system.update"), []string{name, family}, 1, 1, 0},
	} {
		t.Run(title, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s, at, _ := newStoreSession(c)
			at.allow = tt.allow
			s.node.Spec.CapabilityPolicy.Allow, s.facts.Declared[0].Name = []string{family}, name
			d := newDispatch(s, c, v1alpha1.DispatchQueued)
			d.ResourceVersion, d.Spec.ExpirySeconds, d.Spec.Capability = "1", 3600, name
			if tt.claimed {
				s.table.ClaimUntil(metav1.NewTime(noon.Add(time.Second)))
			}
			s.addWaiting(t.Context(), at, d)
			c.Step(tt.age)
			s.service.lease.renewed = c.Now()
			s.offer(t.Context())
			s.runPending(t.Context())
			var asked []string
			for _, r := range at.reviewed {
				asked = append(asked, r.ResourceAttributes.Name)
			}
			if !slices.Equal(asked, tt.asked) {
				t.Errorf("SubjectAccessReviews for %v, want %v", asked, tt.asked)
			}
			if reviews, writes := sumCounters(t, s.service.metrics.reviews), sumCounters(t, s.service.metrics.writes); reviews != tt.reviews || writes != tt.writes || s.offersSent() != tt.offers {
				t.Errorf("counted %d reviews, %d writes, %d offers, want %d, %d, %d", reviews, writes, s.offersSent(), tt.reviews, tt.writes, tt.offers)
			}
		})
	}
}

// Offer, question and start follow each other within seconds. They share one review.
func TestTheStepsWithinReviewTTLShareAReview(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s, at, _ := newStoreSession(c)
	at.allow = everybody
	d := newDispatch(s, c, v1alpha1.DispatchQueued)
	c.Step(s.service.ReviewAfter)
	for _, tt := range []struct {
		after   time.Duration
		reviews int
	}{{0, 1}, {dispatchtable.ReviewTTL - time.Second, 1}, {2 * time.Second, 2}} {
		c.Step(tt.after)
		if got, err := s.service.review(t.Context(), d); got != dispatch.ReviewPassed || err != nil || len(at.reviewed) != tt.reviews {
			t.Errorf("%s later: %v, %v after %d SubjectAccessReviews, want %d", tt.after, got, err, len(at.reviewed), tt.reviews)
		}
	}
}
