package plugin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/test/eventually"
)

// waitTimeout bounds every wait; each step normally takes no more than a second or two.
const waitTimeout = 60 * time.Second

// process is a running kubectl-mooring.
type process struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, err buffer
	ended    chan struct{}
}

// buffer can be read while a process writes to it.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// start starts the program as a person in a namespace, with the given standard input.
func start(t *testing.T, user, ns string, stdin io.Reader, args ...string) *process {
	t.Helper()
	return startWith(t, kubeconfig(t, user), stdin, append(args, "-n", ns)...)
}

func startWith(t *testing.T, kubeconfig string, stdin io.Reader, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	p := &process{t: t, cmd: exec.CommandContext(ctx, binary(), args...), ended: make(chan struct{})}
	p.cmd.Env = []string{"KUBECONFIG=" + kubeconfig, "HOME=" + workDir, "PATH=/usr/bin:/bin"}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the exit code is in ProcessState
	}()
	t.Cleanup(func() { cancel(); <-p.ended })
	return p
}

// run runs the program and waits for its end.
func run(t *testing.T, user, ns string, args ...string) *process {
	t.Helper()
	p := start(t, user, ns, nil, args...)
	<-p.ended
	return p
}

// wantExit waits for the end and checks the exit code and the output. A text with the prefix "err:"
// must be in standard error, any other in standard output.
func (p *process) wantExit(code int, texts ...string) {
	p.t.Helper()
	<-p.ended
	failed := p.cmd.ProcessState.ExitCode() != code
	for _, text := range texts {
		output := p.out.String()
		text, onErr := strings.CutPrefix(text, "err:")
		if onErr {
			output = p.err.String()
		}
		if !strings.Contains(output, text) {
			failed = true
			p.t.Errorf("the output does not contain %q", text)
		}
	}
	if failed {
		p.t.Fatalf("%v ended with code %d, want %d\nstandard output:\n%s\nstandard error:\n%s",
			p.cmd.Args[1:], p.cmd.ProcessState.ExitCode(), code, p.out.String(), p.err.String())
	}
}

// waitForStderr waits until standard error contains a text.
func (p *process) waitForStderr(text string) {
	p.t.Helper()
	eventually.True(p.t, "print "+text, func() bool {
		select {
		case <-p.ended:
			if !strings.Contains(p.err.String(), text) {
				p.t.Fatalf("the program ended without printing %q:\n%s", text, p.err.String())
			}
		default:
		}
		return strings.Contains(p.err.String(), text)
	})
}

func (p *process) interrupt() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
}

// decode reads standard output as JSON.
func (p *process) decode(into any) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(p.out.String()), into); err != nil {
		p.t.Fatalf("read %q: %v", p.out.String(), err)
	}
}
