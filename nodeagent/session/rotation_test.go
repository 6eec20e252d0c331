package session_test

import (
	"testing"
	"time"

	"github.com/mooring-dev/mooring/test/fakegateway"
)

// startRotating starts an agent whose first renewal rotates the key.
func startRotating(t *testing.T, g *fakegateway.Gateway) *agent {
	t.Helper()
	a := &agent{rotateKeyEvery: time.Millisecond}
	a.start(t, g, 5*time.Second)
	return a
}

func TestAnOldKeyIsRotatedAtRenewalAndTheNewOneIsUsed(t *testing.T) {
	g := fakegateway.Start(t)
	a := startRotating(t, g)
	g.Node.NextSession(t)
	before := a.creds.Identity()
	g.Node.NextSession(t)
	after := a.creds.Identity()
	if after.Key.Equal(before.Key) || after.ID != before.ID || !after.KeyMade.After(before.KeyMade) {
		t.Errorf("before %s made %s, after %s made %s", before.ID, before.KeyMade, after.ID, after.KeyMade)
	}
	if g.Node.Rotations() != 1 {
		t.Errorf("the pin moved %d times, want once", g.Node.Rotations())
	}
	a.stop()
	a.run(t)
	g.Node.NextSession(t)
	if !a.creds.Identity().Key.Equal(after.Key) {
		t.Error("a restart does not use the new key")
	}
}

// TestANextKeyThatIsNotKnownGivesWayToTheOldOne runs an agent whose cluster was restored from a
// backup that is older than the rotation. A restart of the agent must not matter.
func TestANextKeyThatIsNotKnownGivesWayToTheOldOne(t *testing.T) {
	g := fakegateway.Start(t)
	g.Node.Register = func() error {
		g.Node.DropNextKey()
		return nil
	}
	a := startRotating(t, g)
	g.Node.NextSession(t)
	before := a.creds.Identity()
	g.Node.NextSession(t)
	after := a.creds.Identity()
	if !after.Key.Equal(before.Key) || !after.Leaf().Equal(before.Leaf()) {
		t.Error("the old key is not used")
	}
	a.rotateKeyEvery = 0
	a.stop()
	a.run(t)
	g.Node.NextSession(t)
	if !a.creds.Identity().Key.Equal(before.Key) {
		t.Error("after a restart the old key is not used")
	}
}
