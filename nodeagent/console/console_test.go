package console

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/internal/foreign/corpus"
)

func TestALineOfTheConsoleIsOneLine(t *testing.T) {
	for name, text := range corpus.Texts {
		var out bytes.Buffer
		c := New(&out)
		c.Print("said %s: %v", text, errors.New(text))
		c.PrintOnce("once %s", text)
		c.PrintOnce("once %s", text)
		c.PrintOnceFor(text, "for %v", text)
		if problem := corpus.FindProblem(out.String()); problem != "" || strings.Count(out.String(), "\n") != 3 {
			t.Errorf("%s: %s in %.300q", name, problem, out.String())
		}
	}
}
