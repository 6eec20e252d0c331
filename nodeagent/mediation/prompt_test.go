package mediation

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
)

func TestAPersonAtTheTerminalSeesEverythingAndAnswers(t *testing.T) {
	d, record := deskOf(t, ""), &memory{}
	q := question("u")
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
