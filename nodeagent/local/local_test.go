package local

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mooring-dev/mooring/nodeagent/ownfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startServer serves an echo until the test ends. It returns the socket and a function that ends
// the server.
func startServer(t *testing.T) (socket string, stop func()) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "run", "s")
	server, err := Listen(socket, "a test", slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(ctx, func(_ context.Context, conn *net.UnixConn, line []byte, _ int) { WriteAnswer(conn, string(line)) })
	}()
	stop = func() { cancel(); <-served }
	t.Cleanup(stop)
	return socket, stop
}

// sendRequest sends request and returns the answer.
func sendRequest(t *testing.T, socket string, request any) (answer string, err error) {
	t.Helper()
	err = Exchange(t.Context(), socket, request, func(lines *bufio.Reader) error { return ReadAnswer(lines, &answer) })
	return answer, err
}

func TestALineThereALineBack(t *testing.T) {
	socket, stop := startServer(t)
	for range 2 * maxClients { // every client gives its slot back
		if got, err := sendRequest(t, socket, "hello"); err != nil || got != "\"hello\"\n" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if _, err := sendRequest(t, socket, strings.Repeat("x", maxRequestBytes)); err == nil {
		t.Error("a request that is too long is answered")
	}
	stop()
	if _, err := sendRequest(t, socket, "hello"); !errors.Is(err, ErrNoAgent) || !strings.Contains(err.Error(), "mooring-agent start") {
		t.Errorf("request after the end of the server: %v", err)
	}
}

// TestSilentClientsDoNotHoldTheEnd opens connections that send nothing. They must not delay the end
// of the server.
func TestSilentClientsDoNotHoldTheEnd(t *testing.T) {
	socket, stop := startServer(t)
	for range maxClients + 1 {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	stop()
}

func TestASocketThatAKilledAgentLeftIsReplaced(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "run", "s")
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	killed, err := Listen(socket, "a test", log)
	if err != nil {
		t.Fatal(err)
	}
	killed.Abandon()
	if _, err := sendRequest(t, socket, "hello"); !errors.Is(err, ErrNoAgent) {
		t.Errorf("request to a killed agent: %v", err)
	}
	again, err := Listen(socket, "a test", log)
	if err != nil {
		t.Fatal(err)
	}
	again.listener.Close()
	if err := os.Chmod(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(socket, "a test", log); !errors.Is(err, ownfile.ErrUnsafe) || !strings.Contains(err.Error(), "chmod 0700") {
		t.Errorf("in a folder that others can reach: %v", err)
	}
}
