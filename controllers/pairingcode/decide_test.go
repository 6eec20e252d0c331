package pairingcode

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/status"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func activeCode() *v1alpha1.PairingCode {
	left := int32(3)
	return &v1alpha1.PairingCode{
		ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "code", UID: "uid", CreationTimestamp: metav1.NewTime(start)},
		Spec:       v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, TTLSeconds: 600},
		Status:     v1alpha1.PairingCodeStatus{Phase: v1alpha1.PairingCodeActive, LookupID: "K7QX2M", AttemptsLeft: &left},
	}
}

func TestDecideCode(t *testing.T) {
	tests := map[string]struct {
		record *Record
		after  time.Duration
		want   codeVerdict // without its message
	}{
		"an untouched code is active until it expires": {
			record: &Record{Written: start}, after: time.Minute,
			want: codeVerdict{phase: v1alpha1.PairingCodeActive, attemptsLeft: 3, requeueAfter: 9 * time.Minute},
		},
		"a settled wrong guess is counted": {
			record: &Record{TriesUsed: 1, Written: start}, after: time.Minute,
			want: codeVerdict{phase: v1alpha1.PairingCodeActive, attemptsLeft: 2, requeueAfter: 9 * time.Minute},
		},
		"a guess in flight is not counted yet": {
			record: &Record{TriesUsed: 3, Written: start.Add(time.Minute)}, after: time.Minute + 500*time.Millisecond,
			want: codeVerdict{phase: v1alpha1.PairingCodeActive, attemptsLeft: 3, requeueAfter: 1500 * time.Millisecond},
		},
		"a third wrong guess burns the code": {
			record: &Record{TriesUsed: 3, Written: start.Add(time.Minute)}, after: time.Minute + tryInFlightTime,
			want: codeVerdict{phase: v1alpha1.PairingCodeBurnt, reason: v1alpha1.ReasonCodeBurnt, deleteRecord: true},
		},
		"a right third guess uses the code": {
			record: &Record{TriesUsed: 2, ConsumedBy: "key", RequestName: "box", Written: start.Add(time.Minute)}, after: time.Hour,
			want: codeVerdict{phase: v1alpha1.PairingCodeUsed, reason: v1alpha1.ReasonCodeUsed, attemptsLeft: 1, usedBy: "box"},
		},
		"a code that nobody used expires": {
			record: &Record{TriesUsed: 1, Written: start}, after: 10 * time.Minute,
			want: codeVerdict{phase: v1alpha1.PairingCodeExpired, reason: v1alpha1.ReasonCodeExpired, attemptsLeft: 2, deleteRecord: true},
		},
		"a guess begun before the end may still be right": {
			record: &Record{TriesUsed: 1, Written: start.Add(10 * time.Minute)}, after: 10*time.Minute + time.Second,
			want: codeVerdict{phase: v1alpha1.PairingCodeActive, attemptsLeft: 3, requeueAfter: time.Second},
		},
		"a code without its record is over": {
			after: time.Minute,
			want:  codeVerdict{phase: v1alpha1.PairingCodeExpired, reason: v1alpha1.ReasonCodeExpired},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := decideCode(activeCode(), test.record, start.Add(test.after))
			if (got.message == "") != (got.phase == v1alpha1.PairingCodeActive) {
				t.Errorf("message is %q", got.message)
			}
			got.message = ""
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(codeVerdict{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecideRest(t *testing.T) {
	record := &Record{ConsumedBy: "key", Written: start}
	request := func(phase v1alpha1.PairingRequestPhase) *v1alpha1.PairingRequest {
		return &v1alpha1.PairingRequest{Status: v1alpha1.PairingRequestStatus{Phase: phase}}
	}
	tests := map[string]struct {
		phase   v1alpha1.PairingCodePhase
		record  *Record
		request *v1alpha1.PairingRequest
		after   time.Duration
		want    codeCleanup
	}{
		"a used code keeps its record while its request is open": {
			v1alpha1.PairingCodeUsed, record, request(v1alpha1.PairingRequestApproved), 48 * time.Hour, codeCleanup{},
		},
		"a used code drops its record when its request is terminal": {
			v1alpha1.PairingCodeUsed, record, request(v1alpha1.PairingRequestDenied), time.Hour, codeCleanup{deleteRecord: true, requeueAfter: 23 * time.Hour},
		},
		"a used code waits for a request that a gateway still has to make": {
			v1alpha1.PairingCodeUsed, record, nil, time.Minute, codeCleanup{requeueAfter: orphanedUseGrace / 4},
		},
		"a used code does not wait for that forever": {
			v1alpha1.PairingCodeUsed, record, nil, 10*time.Minute + orphanedUseGrace + time.Second,
			codeCleanup{deleteRecord: true, requeueAfter: Retention - 10*time.Minute - orphanedUseGrace - time.Second},
		},
		"a terminal code is kept for a day": {
			v1alpha1.PairingCodeBurnt, nil, nil, time.Hour, codeCleanup{requeueAfter: 23 * time.Hour},
		},
		"a terminal code goes after a day": {
			v1alpha1.PairingCodeExpired, nil, nil, 24 * time.Hour, codeCleanup{delete: true},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code := activeCode()
			code.Status.Phase = test.phase
			status.SetCondition(&code.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse}, start)
			got := decideCleanup(code, test.record, test.request, start.Add(test.after))
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(codeCleanup{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLookupIDsOfACodeAreRepeatableAndDiffer(t *testing.T) {
	seen := map[string]bool{}
	for attempt := range lookupDraws {
		first, err := lookupIDOf("uid", attempt)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := lookupIDOf("uid", attempt)
		if first != again || seen[first] {
			t.Errorf("attempt %d gives %s, then %s", attempt, first, again)
		}
		seen[first] = true
	}
	other, _ := lookupIDOf("another", 0)
	if seen[other] {
		t.Error("two codes draw the same id")
	}
}
