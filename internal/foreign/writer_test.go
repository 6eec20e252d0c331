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
			for left := []byte(text); len(left) > 0; left = left[min(size, len(left)):] {
				piece := left[:min(size, len(left))]
				if n, err := w.Write(piece); n != len(piece) || err != nil {
					t.Fatalf("wrote %d of %d: %v", n, len(piece), err)
				}
			}
			if got, want := out.String(), Text(text); got != want {
				t.Errorf("%s in pieces of %d: got %q, want %q", name, size, got, want)
			}
		}
	}
}

// Every cleaner must pass the whole corpus. [Text] is not included, because it keeps line feeds.
func TestNoCleanerLeavesAnythingOfTheCorpus(t *testing.T) {
	for name, text := range corpus.Texts {
		t.Run(name, func(t *testing.T) {
			corpus.Check(t, Line(text))
			corpus.Check(t, Brief(text))
			corpus.Check(t, Short(text, 100))
			corpus.Check(t, Exact(text))
			corpus.Check(t, Quote(text))
			corpus.Check(t, Indent(text))
			corpus.Check(t, Sprintf("%s", text))
		})
	}
}

func TestTheCorpusIsHostile(t *testing.T) {
	for name, text := range corpus.Texts {
		if corpus.Problem(text) == "" && name != "tabs" {
			t.Errorf("%s is not hostile", name)
		}
	}
	if problem := corpus.Problem("Node:\tpress-3\n  forged line\n"); problem != "" {
		t.Errorf("an honest text has the problem %s", problem)
	}
}
