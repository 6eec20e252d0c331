package cluster

import (
	"context"
	"flag"
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

// parallelTests is the number of parallel tests of a package, which mostly wait. It is small: each
// test of a gateway has a gateway with caches of its own.
const parallelTests = "3"

func run(m *testing.M, options controlplane.Options, into **Cluster) int {
	flag.Parse()
	if err := flag.Set("test.parallel", parallelTests); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
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
