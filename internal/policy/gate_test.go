package policy

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

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

func TestAFailureIsNotedUntilTheNextProof(t *testing.T) {
	var lease coordinationv1.Lease
	setFailureAnnotation(&lease, disprovedError("policy %q is missing", "a"))
	if got := lease.Annotations[AnnotationFailure]; got != `policy "a" is missing` {
		t.Errorf("the failure is noted as %q", got)
	}
	lease.Annotations["other"] = "kept"
	setFailureAnnotation(&lease, nil)
	if len(lease.Annotations) != 1 || lease.Annotations["other"] != "kept" {
		t.Errorf("after a proof: %v", lease.Annotations)
	}
	if setFailureAnnotation(&coordinationv1.Lease{}, nil); failureText(nil) != "" {
		t.Error("a proof has the text of a failure")
	}
}

func TestTheTextOfAFailureIsCutBetweenCharacters(t *testing.T) {
	for size, want := range map[int]int{maxFailureChars: maxFailureChars, maxFailureChars + 2: maxFailureChars} {
		if got := failureText(errors.New(strings.Repeat("é", size/2))); len(got) != want || !utf8.ValidString(got) {
			t.Errorf("%d of %d bytes are kept, want %d", len(got), size, want)
		}
	}
	if got := failureText(errors.New("a" + strings.Repeat("é", maxFailureChars/2))); len(got) != maxFailureChars-1 || !utf8.ValidString(got) {
		t.Errorf("%d bytes are kept, valid %t", len(got), utf8.ValidString(got))
	}
}
