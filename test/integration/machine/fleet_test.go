package machine_test

import (
	"testing"

	"github.com/mooring-dev/mooring/test/testfleet"
)

// fleet is the namespace of one test.
type fleet struct{ *testfleet.Fleet }

func newFleet(t *testing.T) *fleet {
	t.Helper()
	return &fleet{testfleet.New(t, system)}
}
