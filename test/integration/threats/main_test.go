// Package threats_test plays the attacks of the threat table against the whole system: real
// control plane, controller and gateway under their own rights, real agents. It changes policies
// and stops etcd, so it has a cluster of its own.
package threats_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mooring-dev/mooring/test/cluster"
	"github.com/mooring-dev/mooring/test/stack"
)

// system is shared by the tests of this package, which run one after the other.
var (
	system *stack.Stack
	// metrics are the pages of the controller and the gateway, by name.
	metrics = map[string]string{}
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	log.SetLogger(logr.Discard()) // or controller-runtime complains
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "mooring-threats-")
	if err == nil {
		err = start(ctx, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the system:", err)
		return 1
	}
	code := m.Run()
	system.Close()
	if code == 0 {
		_ = os.RemoveAll(dir)
		return 0
	}
	for _, name := range []string{"controller.log", "gateway-0.log"} {
		text, _ := os.ReadFile(filepath.Join(dir, name))
		fmt.Fprintf(os.Stderr, "--- end of %s\n%s\n", filepath.Join(dir, name), text[max(0, len(text)-4000):])
	}
	return code
}

func start(ctx context.Context, dir string) error {
	root, err := cluster.Root()
	if err != nil {
		return err
	}
	if err := chooseMetrics(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	system, err = stack.Start(ctx, stack.Options{
		Root: root, Dir: dir, Gateways: 1,
		ControllerArgs: []string{"--metrics-bind-address", metrics["controller"]},
		GatewayArgs:    []string{"--metrics-bind-address", metrics["gateway"], "--lease-duration=5s"},
	})
	return err
}

// chooseMetrics finds a free address for each page.
func chooseMetrics() error {
	free, err := stack.FreeAddresses(2)
	if err != nil {
		return err
	}
	metrics["controller"], metrics["gateway"] = free[0], free[1]
	return nil
}
