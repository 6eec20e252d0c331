//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// sharedWorker is the worker that the tests share, one after the other.
var sharedWorker *worker

// startTimeout bounds the start of the worker, also on a busy machine.
const startTimeout = 5 * time.Minute

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	log.SetLogger(logr.Discard()) // or controller-runtime logs a warning
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var err error
	if sharedWorker, err = startWorker(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "start the worker:", err)
		return 1
	}
	defer sharedWorker.close()
	return m.Run()
}
