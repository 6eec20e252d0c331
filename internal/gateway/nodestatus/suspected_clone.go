package nodestatus

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

const (
	// suspectedCloneTTL is the time that the suspicion of a clone stays after its last sign. Two
	// running copies produce a sign every few minutes.
	suspectedCloneTTL = 24 * time.Hour
	// SuspectedCloneInterval is the minimum time between two writes of signs of the same kind.
	SuspectedCloneInterval = 10 * time.Minute
)

// SetSuspectedClone sets the condition that two machines seem to use one identity. It returns false if
// a sign of the same kind is recorded in this session and younger than SuspectedCloneInterval. The
// transition time of the condition is the time of the last sign.
func (f *Fields) SetSuspectedClone(reason, message string, now metav1.Time) bool {
	old := meta.FindStatusCondition(f.Conditions, v1alpha1.ConditionSuspectedClone)
	if old != nil && old.Reason == reason && now.Sub(old.LastTransitionTime.Time) < SuspectedCloneInterval && !old.LastTransitionTime.Before(f.SessionStartedTime) {
		return false
	}
	meta.RemoveStatusCondition(&f.Conditions, v1alpha1.ConditionSuspectedClone)
	SetCondition(&f.Conditions, metav1.Condition{Type: v1alpha1.ConditionSuspectedClone, Status: metav1.ConditionTrue,
		Reason: reason, Message: message}, now)
	return true
}

// expireSuspectedClone removes the suspicion of a clone when its last sign is suspectedCloneTTL old.
func (f *Fields) expireSuspectedClone(now metav1.Time) {
	old := meta.FindStatusCondition(f.Conditions, v1alpha1.ConditionSuspectedClone)
	if old != nil && now.Sub(old.LastTransitionTime.Time) >= suspectedCloneTTL {
		meta.RemoveStatusCondition(&f.Conditions, v1alpha1.ConditionSuspectedClone)
	}
}
