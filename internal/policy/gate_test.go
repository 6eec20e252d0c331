package policy

import (
	"errors"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestGateIsOpenOnlyOnAFreshProof(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	lease := func(age time.Duration, failure string) *coordinationv1.Lease {
		renewed := metav1.NewMicroTime(now.Add(-age))
		l := &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{RenewTime: &renewed}}
		if failure != "" {
			l.Annotations = map[string]string{AnnotationFailure: failure}
		}
		return l
	}
	neverProven := lease(0, "policy is missing")
	neverProven.Spec.RenewTime = nil

	for _, tt := range []struct {
		name    string
		lease   *coordinationv1.Lease
		want    error
		failing bool
	}{
		{"no Lease yet", nil, ErrNoProof, false},
		{"a Lease without a proof", &coordinationv1.Lease{}, ErrNoProof, false},
		{"just proven", lease(0, ""), nil, false},
		{"proven nearly three minutes ago", lease(3*time.Minute-time.Second, ""), nil, false},
		{"proven three minutes ago: wait", lease(3*time.Minute, ""), ErrStaleProof, false},
		{"disproved after a proof", lease(time.Minute, "policy is missing"), ErrDisproved, true},
		{"disproved before the first proof: wait", neverProven, ErrDisproved, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := check(tt.lease, now); !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) {
				t.Errorf("check = %v, want %v", err, tt.want)
			}
			since, failing := Failing(tt.lease)
			if failing != tt.failing {
				t.Errorf("Failing = %v, want %v", failing, tt.failing)
			}
			if failing && !since.Equal(tt.lease.Spec.RenewTime.Time) {
				t.Errorf("since = %v, want the last good proof", since)
			}
		})
	}
}
