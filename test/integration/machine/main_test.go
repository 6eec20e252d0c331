// Package machine_test runs real agents against a real control plane, controller and gateway, and
// lets them run programs that misbehave, ask the person at the machine, and poll.
package machine_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/test/cluster"
	"github.com/mooring-dev/mooring/test/stack"
)

// system is shared by the tests of this package, which run one after the other.
var system *stack.Stack

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := cluster.Root()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "mooring-machine-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	starting, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	system, err = stack.Start(starting, stack.Options{Root: root, Dir: dir, Gateways: 1})
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
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	fmt.Fprintf(os.Stderr, "the logs are kept: %v\n", logs)
	for _, name := range []string{"controller.log", "gateway-0.log"} {
		text, _ := os.ReadFile(filepath.Join(dir, name))
		fmt.Fprintf(os.Stderr, "--- end of %s\n%s\n", name, text[max(0, len(text)-4000):])
	}
	return code
}
