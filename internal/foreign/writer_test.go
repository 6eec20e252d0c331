package foreign

import (
	"bytes"
	"testing"

	"github.com/mooring-dev/mooring/internal/foreign/corpus"
)

func TestAWriterCleansWhateverThePiecesAre(t *testing.T) {
	for name, text := range corpus.Texts {
		text = text[:min(len(text), 2000)] + "end\n"
		for size := 1; size < 7; size++ {
			var out bytes.Buffer
			w := NewWriter(&out)
			for remaining := []byte(text); len(remaining) > 0; remaining = remaining[min(size, len(remaining)):] {
				piece := remaining[:min(size, len(remaining))]
				if n, err := w.Write(piece); n != len(piece) || err != nil {
					t.Fatalf("wrote %d of %d: %v", n, len(piece), err)
				}
			}
			if got, want := out.String(), CleanText(text); got != want {
				t.Errorf("%s in pieces of %d: got %q, want %q", name, size, got, want)
			}
		}
	}
}

// Every cleaner must pass the whole corpus. [CleanText] is not included, because it keeps line
// feeds.
func TestNoCleanerLeavesAnythingOfTheCorpus(t *testing.T) {
	for name, text := range corpus.Texts {
		t.Run(name, func(t *testing.T) {
			corpus.CheckSafe(t, CleanLine(text))
			corpus.CheckSafe(t, BriefLine(text))
			corpus.CheckSafe(t, TruncateLine(text, 100))
			corpus.CheckSafe(t, EscapeExactly(text))
			corpus.CheckSafe(t, QuoteLines(text))
			corpus.CheckSafe(t, IndentLines(text))
			corpus.CheckSafe(t, Sprintf("%s", text))
		})
	}
}

func TestTheCorpusIsHostile(t *testing.T) {
	for name, text := range corpus.Texts {
		if corpus.FindProblem(text) == "" && name != "tabs" {
			t.Errorf("%s is not hostile", name)
		}
	}
	if problem := corpus.FindProblem("Node:\tpress-3\n  forged line\n"); problem != "" {
		t.Errorf("an honest text has the problem %s", problem)
	}
}
