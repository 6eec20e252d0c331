package foreign

import (
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// Writer passes on text of several lines as [CleanText] returns it, independently of the size of
// the writes. It is the second line of defence of an output for people, because it does not know
// which lines are foreign. It is safe for concurrent use.
type Writer struct {
	mu      sync.Mutex
	out     io.Writer
	cleaner cleaner
	// partial is the end of the last write: a partial character, or a CR that a line feed may
	// follow.
	partial []byte
}

// NewWriter returns a Writer to out.
func NewWriter(out io.Writer) *Writer { return &Writer{out: out, cleaner: cleaner{kept: "\n\t"}} }

// Write cleans a piece and writes it. It keeps an unfinished character for the next write.
func (w *Writer) Write(piece []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := append(w.partial, piece...)
	whole := completeLength(text)
	w.partial = append([]byte(nil), text[whole:]...)
	_, err := io.WriteString(w.out, strings.Map(w.cleaner.clean, strings.ReplaceAll(string(text[:whole]), "\r\n", "\n")))
	return len(piece), err
}

// completeLength returns the length of text without an unfinished character or a CR at its end.
func completeLength(text []byte) int {
	for offset := 1; offset <= min(utf8.UTFMax-1, len(text)); offset++ {
		if last := text[len(text)-offset:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) || last[0] == '\r' {
				return len(text) - offset
			}
			break
		}
	}
	return len(text)
}
