package cluster

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
)

// Main runs the tests of a package against a cluster with everything installed:
//
//	var shared *cluster.Cluster
//
//	func TestMain(m *testing.M) { cluster.Main(m, controlplane.Options{}, &shared) }
func Main(m *testing.M, options controlplane.Options, into **Cluster) {
	os.Exit(run(m, options, into))
}

func run(m *testing.M, options controlplane.Options, into **Cluster) int {
	log.SetLogger(logr.Discard()) // or controller-runtime logs a warning; a manager gets its own logger
	// The first start on a machine builds the control plane.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	c, err := Start(ctx, options)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := 1
	if err := c.InstallAll(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		*into = c
		code = m.Run()
	}
	if err := c.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "close the cluster:", err)
	}
	return code
}
