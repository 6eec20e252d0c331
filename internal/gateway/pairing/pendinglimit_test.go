package pairing

import "testing"

// However many fleets take all they can, a fleet without requests finds a place.
func TestGreedyFleetsLeaveRoomForOthers(t *testing.T) {
	for limit := 1; limit <= 60; limit++ {
		for greedy := 1; greedy < limit; greedy++ {
			perFleet, all := make([]int, greedy), 0
			for changed := true; changed; {
				changed = false
				for fleet := range perFleet {
					if checkPendingLimit(limit, all, perFleet[fleet]) == nil {
						perFleet[fleet]++
						all++
						changed = true
					}
				}
			}
			if all > limit {
				t.Fatalf("limit %d, %d fleets: %d are undecided", limit, greedy, all)
			}
			if refused := checkPendingLimit(limit, all, 0); refused != nil {
				t.Fatalf("limit %d: %d fleets hold %v, the next one is refused: %s", limit, greedy, perFleet, refused.reason)
			}
		}
	}
}

func TestAFullClusterIsToldFromAFullFleet(t *testing.T) {
	for _, test := range []struct {
		limit, all, own int
		want            string
	}{
		{50, 0, 0, ""}, {50, 24, 24, ""}, {50, 25, 25, reasonFleetFull}, {50, 25, 0, ""}, {50, 49, 0, ""},
		{50, 50, 0, reasonClusterFull}, {50, 60, 3, reasonClusterFull}, {1, 0, 0, ""}, {0, 0, 0, reasonClusterFull},
	} {
		got := ""
		if refused := checkPendingLimit(test.limit, test.all, test.own); refused != nil {
			got = refused.reason
		}
		if got != test.want {
			t.Errorf("%d of %d, %d its own: %q, want %q", test.all, test.limit, test.own, got, test.want)
		}
	}
}
