package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/mooring-dev/mooring/internal/policy"
)

// A Deployment with maxUnavailable 0 replaces an old leader when a new replica is ready. The old
// leader disproves the new policies, because it knows only the previous ones. A new replica must
// therefore be ready although the policies are disproved.
func TestOnlyTheLeaderAnswersForThePolicies(t *testing.T) {
	leading := make(chan struct{})
	close(leading)
	for _, c := range []struct {
		says            error
		standby, leader bool
	}{
		{nil, true, true},
		{policy.ErrNoProof, false, false},
		{fmt.Errorf("%w: a policy differs", policy.ErrDisproved), true, false},
		{fmt.Errorf("%w (3m)", policy.ErrStaleProof), true, false},
	} {
		check := func() error { return c.says }
		if err := policiesReady(check, make(chan struct{}))(); (err == nil) != c.standby {
			t.Errorf("%v: a standby reports %v", c.says, err)
		}
		if err := policiesReady(check, leading)(); (err == nil) != c.leader || err != nil && !errors.Is(err, c.says) {
			t.Errorf("%v: the leader reports %v", c.says, err)
		}
	}
}
