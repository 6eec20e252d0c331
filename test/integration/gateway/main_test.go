// Package gateway_test pairs machines with a gateway that has its real rights, over real TLS,
// against a real API server. The tests play the part of the controller.
package gateway_test

import (
	"testing"

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/test/cluster"
)

var shared *cluster.Cluster

func TestMain(m *testing.M) { cluster.Main(m, controlplane.Options{}, &shared) }
