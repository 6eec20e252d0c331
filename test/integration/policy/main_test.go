// Package policy tests the proof of the admission policies. It breaks the policies on its own
// control plane.
package policy

import (
	"testing"

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/test/cluster"
)

var shared *cluster.Cluster

func TestMain(m *testing.M) { cluster.Main(m, controlplane.Options{Own: true}, &shared) }
