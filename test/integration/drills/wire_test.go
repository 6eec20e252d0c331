package drills_test

import (
	"testing"

	"github.com/mooring-dev/mooring/test/wire"
)

// newWire returns a wire to target that ends with the test.
func newWire(t *testing.T, target string) *wire.Proxy {
	t.Helper()
	w, err := wire.New(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}
