// Package session_test runs gateways against a real API server, with the permissions of their
// ServiceAccount, over real TLS, with scripted agents.
package session_test

import (
	"testing"

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/test/cluster"
)

var shared *cluster.Cluster

func TestMain(m *testing.M) { cluster.Main(m, controlplane.Options{}, &shared) }
