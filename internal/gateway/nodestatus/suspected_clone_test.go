package nodestatus

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestSignsOfACloneAreWrittenNowAndThen(t *testing.T) {
	f := Fields{}
	at := func(d time.Duration) metav1.Time { return metav1.NewTime(noon.Add(d)) }
	for _, c := range []struct {
		reason string
		after  time.Duration
		write  bool
	}{
		{v1alpha1.ReasonDialRepeated, 0, true}, {v1alpha1.ReasonDialRepeated, SuspectedCloneInterval - time.Second, false},
		{v1alpha1.ReasonDialRepeated, SuspectedCloneInterval, true}, {v1alpha1.ReasonJournalChanged, SuspectedCloneInterval, true},
	} {
		if got := f.SetSuspectedClone(c.reason, "words", at(c.after)); got != c.write {
			t.Errorf("a sign of %s after %s was written: %t, want %t", c.reason, c.after, got, c.write)
		}
	}
	if f.SessionStartedTime = new(at(SuspectedCloneInterval + time.Second)); !f.SetSuspectedClone(v1alpha1.ReasonJournalChanged, "words", at(SuspectedCloneInterval)) {
		t.Error("a sign of the previous session hides a sign of this session")
	}
	if len(f.Conditions) != 1 || !f.Conditions[0].LastTransitionTime.Time.Equal(noon.Add(SuspectedCloneInterval)) {
		t.Errorf("conditions are %v, want one with the time of the last sign", f.Conditions)
	}
}
