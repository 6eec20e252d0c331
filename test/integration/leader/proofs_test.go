package leader

import (
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// The leader may set NotStarted only with a proof. Each row is a recorded session of the same Node,
// by its begin and end relative to the dispatch's creation.
func TestTheLeaderCallsARunUnstartedOnlyWithAProof(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	const notStarted, unknown = v1alpha1.ExecutionNotStarted, v1alpha1.ExecutionUnknown
	for name, tt := range map[string]struct {
		began, ended time.Duration
		claimed      bool
		want         v1alpha1.Execution
	}{
		"created before the session":                {time.Second, 2 * time.Second, false, notStarted},
		"created in the second of its record":       {0, time.Second, false, notStarted},
		"created in the session":                    {-time.Minute, time.Second, false, unknown},
		"created in the last second of the session": {-time.Minute, 0, false, unknown},
		"created soon after the session":            {-10 * time.Minute, -time.Minute, false, unknown},
		"created two minutes after it":              {-10 * time.Minute, -2 * time.Minute, false, unknown},
		"created long after it":                     {-10 * time.Minute, -2*time.Minute - time.Second, false, notStarted},
		"claimed, before the session":               {time.Second, 2 * time.Second, true, unknown},
	} {
		t.Run(name, func(t *testing.T) {
			w := &fixture{t, w.namespace, w.admin, w.controller, w.gateway}
			node := strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", "")
			w.createNode(node)
			d := w.createDispatch("d-"+node, node)
			if tt.claimed {
				w.markClaimed(d)
			}
			ended := d.CreationTimestamp.Add(tt.ended)
			w.applySession(node, "gone", d.CreationTimestamp.Add(tt.began), &ended)
			w.patch(d, `{"spec":{"cancel":true}}`)
			w.waitForDispatch(d, v1alpha1.DispatchCancelled, tt.want, v1alpha1.ErrorCancelled)
		})
	}
}

// The leader leaves a dispatch that may have begun to its machine, until the longest run is over
// and could have been reported.
func TestTheLeaderWaitsForTheResultOfARunThatMayHaveBegun(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.createNode("n")
	began := w.createDispatch("began", "n", withExpiry(1))
	w.markClaimed(began)
	witness := w.createDispatch("witness", "nobody", withExpiry(3)) // proves that the leader was active all the time
	w.waitForDispatch(witness, v1alpha1.DispatchTimedOut, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorNodeNotFound)
	if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(began), began); err != nil || began.Status.Phase != v1alpha1.DispatchDispatched {
		t.Errorf("a second after its expiry it is %s: %v", began.Status.Phase, err)
	}
}

// createNodeWithSession creates a Node whose gateway has just recorded a session.
func (w *fixture) createNodeWithSession(node string) {
	w.t.Helper()
	w.createNode(node)
	gateway := w.namespace + "-" + node
	w.createLease(gateway, -time.Hour)
	w.applySession(node, gateway, apiClock.Now().Add(-time.Minute), nil)
}
