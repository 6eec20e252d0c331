package dispatchtable

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func newEntry(created int64, uid string) *entry {
	return &entry{d: &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{
		UID: types.UID(uid), CreationTimestamp: metav1.NewTime(time.Unix(created, 0))}}}
}

func TestQueueIsAlwaysInOrderAndHoldsEachOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		model := map[types.UID]*entry{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			uid := rapid.StringMatching("[a-f]").Draw(t, "uid")
			e := model[types.UID(uid)]
			if e == nil {
				e = newEntry(int64(rapid.IntRange(1, 3).Draw(t, "created")), uid)
			}
			if rapid.Bool().Draw(t, "add") {
				q.add(e)
				model[e.d.UID] = e
			} else {
				q.remove(e)
				delete(model, e.d.UID)
			}
			if q.len() != len(model) {
				t.Fatalf("the queue holds %d entries, want %d", q.len(), len(model))
			}
			if !slices.IsSortedFunc(q.waiting, func(a, b *entry) int { return compare(a.d, b.d) }) {
				t.Fatal("the queue is out of order")
			}
		}
		n := rapid.IntRange(-2, 8).Draw(t, "n")
		newest := q.newest(n)
		if want := min(max(n, 0), q.len()); len(newest) != want {
			t.Fatalf("newest(%d) gave %d, want %d", n, len(newest), want)
		}
		if len(newest) > 0 && newest[0] != q.waiting[q.len()-1] {
			t.Fatal("newest does not begin with the last one")
		}
	})
}

func TestOlderComesFirstAndTheUIDDecidesWithinASecond(t *testing.T) {
	var q queue
	late, b, a := newEntry(2, "a"), newEntry(1, "b"), newEntry(1, "a")
	for _, e := range []*entry{late, b, a} {
		q.add(e)
	}
	if !slices.Equal(q.oldestFirst(), []*entry{a, b, late}) {
		t.Errorf("order is %v", q.waiting)
	}
}
