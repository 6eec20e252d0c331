package mediation

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mooring-dev/mooring/internal/foreign"
)

// Describe returns a question as text for a person. It holds the requesting user, the capability
// and the whole target, each on a line of its own whatever characters the cluster sent.
func Describe(q Question) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s asks to run %s on this machine", userOrUnknown(foreign.EscapeExactly(q.RequestedBy)), foreign.EscapeExactly(q.Capability))
	if q.Description != "" {
		fmt.Fprintf(&text, " (%s)", foreign.EscapeExactly(q.Description))
	}
	fmt.Fprintf(&text, "\n  target:   %s", foreign.EscapeExactly(q.Target))
	if q.Warning != "" {
		fmt.Fprintf(&text, "\n  WARNING:  %s", foreign.EscapeExactly(q.Warning))
	}
	fmt.Fprintf(&text, "\n  dispatch: %s/%s\n  answer until %s; without an answer the run is denied",
		foreign.EscapeExactly(q.Namespace), foreign.EscapeExactly(q.Name), q.Until.Local().Format(time.TimeOnly))
	return text.String()
}

func userOrUnknown(user string) string {
	if user == "" {
		return "(unknown user)"
	}
	return user
}

// Prompt asks a person at a terminal, one question at a time, until ctx ends. by is the person's
// name. The caller closes in to end the read.
func (d *ApprovalQueue) Prompt(ctx context.Context, in io.Reader, out io.Writer, by string) {
	out = foreign.NewWriter(out)
	lines := make(chan string)
	inputEnded := make(chan struct{})
	go func() {
		defer close(inputEnded)
		readLines(ctx, in, lines)
	}()
	defer func() { <-inputEnded }()
	shownUID := ""
	for {
		open, changed := d.Questions()
		switch {
		case len(open) == 0:
			shownUID = ""
		case open[0].UID != shownUID:
			shownUID = open[0].UID
			fmt.Fprintf(out, "\n%s\nAllow it? [y/N] ", Describe(open[0]))
		}
		select {
		case <-ctx.Done():
			return
		case <-inputEnded:
			return
		case <-changed:
		case line := <-lines:
			if shownUID != "" {
				d.handleLine(out, shownUID, line, by)
			}
		}
	}
}

func (d *ApprovalQueue) handleLine(out io.Writer, uid, line, by string) {
	word := strings.ToLower(strings.TrimSpace(line))
	allowed := word == "y" || word == "yes"
	if !allowed && word != "n" && word != "no" && word != "" {
		fmt.Fprint(out, "Please answer y or n: ")
		return
	}
	switch _, err := d.Answer(uid, allowed, by); {
	case errors.Is(err, ErrNoQuestion):
		fmt.Fprintln(out, "Too late: it was answered or cancelled meanwhile.")
	case err != nil:
		fmt.Fprintf(out, "Not recorded: %s\n", foreign.CleanLine(err.Error()))
	case allowed:
		fmt.Fprintln(out, "Allowed.")
	default:
		fmt.Fprintln(out, "Denied.")
	}
}

func readLines(ctx context.Context, in io.Reader, lines chan<- string) {
	reader := bufio.NewReader(in)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		select {
		case lines <- line:
		case <-ctx.Done():
			return
		}
	}
}
