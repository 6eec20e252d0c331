//go:build linux

package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAClosedTerminalStopsTheAgentCleanly sends SIGHUP twice, as the kernel and a shell do, after
// the reader of the agent's output has ended.
func TestAClosedTerminalStopsTheAgentCleanly(t *testing.T) {
	const child = "MOORING_TEST_HANGUP"
	if os.Getenv(child) != "" {
		ctx, stop := notifyHangup(context.Background())
		defer stop()
		_, _ = os.Stderr.WriteString("ready\n")
		<-ctx.Done()
		time.Sleep(200 * time.Millisecond) // the grace period, in which the second signal arrives
		if _, err := os.Stdout.WriteString("stopping\n"); !errors.Is(err, syscall.EPIPE) && err != nil {
			os.Exit(3)
		}
		os.Exit(42)
	}
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("started by nohup: a child would ignore the signal too")
	}
	for name, c := range map[string]struct {
		argv   []string
		signal syscall.Signal
		want   string
	}{
		"hang-up": {[]string{os.Args[0]}, syscall.SIGHUP, "exit status 42"},
		"nohup":   {[]string{"/bin/sh", "-c", "trap '' HUP; exec " + os.Args[0] + ` "$@"`, "-"}, syscall.SIGHUP, "signal: killed"},
	} {
		cmd := exec.Command(c.argv[0], append(c.argv[1:], "-test.run=^"+t.Name()+"$")...)
		cmd.Env = append(os.Environ(), child+"=1")
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout = writer
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 6)
		if _, err := stderr.Read(line); err != nil || !strings.HasPrefix(string(line), "ready") {
			t.Fatalf("%s: %q, %v", name, line, err)
		}
		reader.Close()
		writer.Close()
		for range 2 {
			_ = cmd.Process.Signal(c.signal)
			time.Sleep(50 * time.Millisecond)
		}
		if name == "nohup" {
			_ = cmd.Process.Kill()
		}
		if err := cmd.Wait(); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
