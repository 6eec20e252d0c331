package mediation

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/internal/foreign/corpus"
)

func TestAPersonAtTheTerminalSeesEverythingAndAnswers(t *testing.T) {
	d, record := newQueue(t, ""), &memoryStore{}
	q := newQuestion("u")
	q.RequestedBy, q.Target = "bob\x1b[2J\u202eecila", strings.Repeat("x", 5000)+"\n\rAllowed by admin"
	q.Warning = "an unknown\ttype"
	ctx, cancel := context.WithCancel(t.Context())
	in, typed := io.Pipe()
	shown, out := io.Pipe()
	var running sync.WaitGroup
	running.Go(func() { d.Prompt(ctx, in, out, "ann"); out.Close() })
	decided := make(chan error, 1)
	go func() { decided <- d.Decide(ctx, q, record) }()
	text := readUntil(t, shown, "[y/N] ")
	for _, want := range []string{`bob\x1b[2J\u202eecila asks to run desktop.open_url`, strings.Repeat("x", 5000) + `\n\rAllowed by admin`, "fleet/d-u", `  WARNING:  an unknown\ttype` + "\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%.60q is not shown in %.300q", want, text)
		}
	}
	if strings.ContainsAny(text, "\x1b\r\u202e") {
		t.Error("control characters reach the terminal")
	}
	go func() { _, _ = io.WriteString(typed, "what?\nY\n") }()
	readUntil(t, shown, "answer y or n: ")
	readUntil(t, shown, "Allowed.\n")
	if err := <-decided; err != nil || strings.Join(record.steps, ",") != "asked ann,yes by ann" {
		t.Errorf("%v, %v", err, record.steps)
	}
	cancel()
	in.Close()
	running.Wait()
}

func readUntil(t *testing.T, from io.Reader, want string) string {
	t.Helper()
	var text strings.Builder
	buffer := make([]byte, 4096)
	for !strings.HasSuffix(text.String(), want) {
		n, err := from.Read(buffer)
		if err != nil {
			t.Fatalf("%v after %q", err, text.String())
		}
		text.Write(buffer[:n])
	}
	return text.String()
}

func TestAPromptShowsNothingThatActsOnATerminal(t *testing.T) {
	for name, text := range corpus.Texts {
		t.Run(name, func(t *testing.T) {
			d := newQueue(t, "")
			q := newQuestion("u")
			q.Namespace, q.Name, q.Capability, q.Description, q.Target, q.RequestedBy = text, text, text, text, text, text
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { _ = d.Decide(ctx, q, failingStore{text}) })
			open, changed := d.Questions()
			for ; len(open) == 0; open, changed = d.Questions() {
				<-changed
			}
			var out bytes.Buffer
			out.WriteString(Describe(open[0]) + "\n")
			d.handleLine(&out, "u", "y\n", "ann")
			if problem := corpus.FindProblem(out.String()); problem != "" || !strings.Contains(out.String(), "\nNot recorded: ") {
				t.Errorf("%s in %.600q", problem, out.String())
			}
			cancel()
			running.Wait()
		})
	}
}

// failingStore is an AnswerStore that cannot store an answer; its error contains untrusted text.
type failingStore struct{ reason string }

func (failingStore) StoreQuestion(string, time.Time) error { return nil }

func (f failingStore) StoreAnswer(bool, string) error { return errors.New(f.reason) }
