package check

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// sequentialHistory returns the history of a machine that runs one dispatch every ten seconds, each
// successfully.
func sequentialHistory(count int, oneAtATime bool) History {
	h := History{States: map[string][]State{}, OneAtATime: map[string]bool{"pc": oneAtATime}}
	for i := range count {
		uid, created := fmt.Sprintf("u%02d", i), float64(i)
		h.Requests = append(h.Requests, Request{UID: uid, Name: uid, Machine: "pc", CreateSent: at(created), CreateDone: at(created + 0.1), Created: at(created), Expiry: time.Hour, Timeout: time.Minute})
		begin, end := started(10*created+100), ended(10*created+101, "")
		begin.UID, end.UID = uid, uid
		h.Marks = append(h.Marks, begin, end)
		h.States[uid] = []State{queued, success(10*created+102, `{"run":"r"}`)}
	}
	return h
}

// swap exchanges the times of two runs, and moves the times at which their ends were seen behind
// both.
func (h *History) swap(a, b int) {
	for _, part := range []int{0, 1} {
		x, y := &h.Marks[2*a+part], &h.Marks[2*b+part]
		x.Time, y.Time = y.Time, x.Time
	}
	for uid := range h.States {
		h.States[uid][1].Time = at(1000)
	}
}

func TestOrderIsJudgedWhereItIsPromised(t *testing.T) {
	inOrder, once, swapped, elsewhere := sequentialHistory(8, true), sequentialHistory(8, true), sequentialHistory(8, true), sequentialHistory(8, false)
	once.swap(2, 3) // informer events in another order
	swapped.swap(2, 5)
	elsewhere.swap(2, 5)
	for _, h := range []History{inOrder, once, elsewhere} {
		if found := Check(h); len(found) != 0 {
			t.Errorf("found %v", found)
		}
	}
	found := Check(swapped)
	if !slices.ContainsFunc(found, func(v Violation) bool { return v.Kind == OutOfOrder && v.UID == "u02" }) {
		t.Errorf("found %v, want u02 OutOfOrder", found)
	}
	sameSecond := sequentialHistory(8, true)
	sameSecond.swap(2, 5)
	for i := range sameSecond.Requests {
		sameSecond.Requests[i].Created = at(0)
	}
	if found := Check(sameSecond); len(found) != 0 {
		t.Errorf("within one second any order will do, found %v", found)
	}
}

// A swap of any two runs that are not neighbours is found and causes no other violation, in
// whatever order the history was collected.
func TestAnySwapIsFound(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		count := 2 + random.IntN(20)
		h := sequentialHistory(count, true)
		a, b := random.IntN(count), random.IntN(count)
		h.swap(a, b)
		random.Shuffle(len(h.Requests), func(i, j int) { h.Requests[i], h.Requests[j] = h.Requests[j], h.Requests[i] })
		found := Check(h)
		if (len(found) > 0) != (max(a, b)-min(a, b) > 1) {
			t.Fatalf("runs %d and %d of %d changed places: found %v", a, b, count, found)
		}
		for _, v := range found {
			if v.Kind != OutOfOrder {
				t.Fatalf("found %v", v)
			}
		}
	}
}
