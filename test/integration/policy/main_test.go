// Package policy tests the proof of the admission policies by breaking them on a control plane of
// its own.
package policy

import (
	"testing"

	"github.com/mooring-dev/mooring/test/cluster"
)

var shared *cluster.Cluster

func TestMain(m *testing.M) { cluster.Main(m, cluster.Options{Own: true}, &shared) }
