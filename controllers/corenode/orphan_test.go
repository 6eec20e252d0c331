package corenode

import (
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestWhatBecomesOfANodeWhoseCoreNodeIsGone(t *testing.T) {
	for state, want := range map[v1alpha1.NodeDesiredState]orphanAction{
		"":                     orphanDelete,
		v1alpha1.NodeActive:    orphanDelete,
		v1alpha1.NodeSuspended: orphanRevoke,
		v1alpha1.NodeRevoked:   orphanKeep,
	} {
		if got := orphanActionFor(state); got != want {
			t.Errorf("%q: %v, want %v", state, got, want)
		}
	}
}
