// Package drills_test breaks the surroundings of a running system as operations do, by accident
// or by a written procedure: the network between a gateway and its cluster, the store that is put
// back from a backup, the one who approves certificates. It has a cluster of its own.
package drills_test

import (
	"context"
	"fmt"
	"net/http"
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
var system *stack.Stack

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	log.SetLogger(logr.Discard()) // or controller-runtime complains
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "mooring-drills-")
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
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, path := range logs {
		text, _ := os.ReadFile(path)
		fmt.Fprintf(os.Stderr, "--- end of %s\n%s\n", path, text[max(0, len(text)-3000):])
	}
	return code
}

func start(ctx context.Context, dir string) error {
	root, err := cluster.Root()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	system, err = stack.Start(ctx, stack.Options{
		Root: root, Dir: dir, Gateways: 1, Fsync: true,
		ControllerArgs: []string{"--stale-after=5s", "--orphan-grace=2s"},
		GatewayArgs:    []string{"--lease-duration=5s"},
	})
	return err
}

// freeAddress is an address of loopback that nobody listens on at the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	free, err := stack.FreeAddresses(1)
	if err != nil {
		t.Fatal(err)
	}
	return free[0]
}

// statusOf asks a page of a process and returns its HTTP status, 0 without an answer.
func statusOf(ctx context.Context, url string) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}
