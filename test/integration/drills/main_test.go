// Package drills_test breaks the environment of a running system as operations do, by accident or by a
// written procedure. It breaks the network between a gateway and its cluster, restores the store from
// a backup, and replaces the approver of certificates. It has a cluster of its own.
package drills_test

import (
	"context"
	"net/http"
	"os"
	"testing"

	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// system is shared by the tests of this package, which run one after the other.
var system *stack.Stack

func TestMain(m *testing.M) {
	os.Exit(testfleet.Main(m, &system, stack.Options{
		Gateways: 1, Fsync: true,
		ControllerArgs: []string{"--stale-after=5s", "--orphan-grace=2s"},
		GatewayArgs:    []string{"--lease-duration=5s"},
	}))
}

// freeAddress returns a loopback address on which no process listens at the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	free, err := stack.FreeAddresses(1)
	if err != nil {
		t.Fatal(err)
	}
	return free[0]
}

// statusOf returns the HTTP status of a page, or 0 without an answer.
func statusOf(ctx context.Context, url string) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}
