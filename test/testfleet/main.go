package testfleet

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

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/hack/dev/stack"
)

const (
	// startTimeout bounds the start of a system, also on a busy machine.
	startTimeout = 5 * time.Minute
	// shownBytes is how much of each log is printed when tests fail.
	shownBytes = 4000
)

// Main runs the tests of a package, one after the other, against one system of their own, and
// returns the exit code. It sets Root and Dir of the options. After a failure it keeps the logs and
// prints their ends.
func Main(m *testing.M, system **stack.Stack, options stack.Options) int {
	log.SetLogger(logr.Discard()) // or controller-runtime logs a warning
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := start(ctx, system, options)
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the system:", err)
		return 1
	}
	code := m.Run()
	(*system).Close()
	if code == 0 {
		_ = os.RemoveAll((*system).Dir)
		return 0
	}
	showLogs((*system).Dir)
	return code
}

func start(ctx context.Context, system **stack.Stack, options stack.Options) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var err error
	if options.Root, err = controlplane.Root(); err != nil {
		return err
	}
	if options.Dir, err = os.MkdirTemp("", "mooring-test-"); err != nil {
		return err
	}
	*system, err = stack.Start(ctx, options)
	return err
}

// showLogs prints the ends of the logs of controller and gateways. It leaves out the agents: there
// may be hundreds.
func showLogs(dir string) {
	fmt.Fprintf(os.Stderr, "the logs are kept: %s\n", dir)
	for _, pattern := range []string{"controller.log", "gateway-*.log"} {
		logs, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, path := range logs {
			text, _ := os.ReadFile(path)
			fmt.Fprintf(os.Stderr, "--- end of %s\n%s\n", path, text[max(0, len(text)-shownBytes):])
		}
	}
}
