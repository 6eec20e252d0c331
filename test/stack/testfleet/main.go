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

	"github.com/mooring-dev/mooring/test/cluster"
	"github.com/mooring-dev/mooring/test/stack"
)

const (
	// startTimeout bounds the start of a system, also on a busy machine.
	startTimeout = 5 * time.Minute
	// shownBytes of each log are shown when tests fail.
	shownBytes = 4000
)

// Main runs the tests of a package against a system of its own, which they share one after the
// other, and returns the exit code. Root and Dir of the options are chosen here. After a failure
// the logs are kept and their ends shown.
func Main(m *testing.M, system **stack.Stack, options stack.Options) int {
	log.SetLogger(logr.Discard()) // or controller-runtime complains
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
	if options.Root, err = cluster.Root(); err != nil {
		return err
	}
	if options.Dir, err = os.MkdirTemp("", "mooring-test-"); err != nil {
		return err
	}
	*system, err = stack.Start(ctx, options)
	return err
}

// showLogs leaves out agents that are not the system's own: there may be hundreds.
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
