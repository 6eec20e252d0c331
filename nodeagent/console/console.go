// Package console prints the lines that a person at the machine reads. All other output of the
// agent goes to its log.
package console

import (
	"fmt"
	"io"
	"sync"

	"github.com/mooring-dev/mooring/internal/foreign"
)

// Console prints whole lines. It is for concurrent use.
type Console struct {
	mu      sync.Mutex
	out     io.Writer
	lastKey string
}

// New returns a Console that prints to out.
func New(out io.Writer) *Console { return &Console{out: out} }

// Print prints a line. A newline in an argument cannot start another line.
func (c *Console) Print(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastKey = foreign.Sprintf(format, args...)
	fmt.Fprintln(c.out, c.lastKey)
}

// PrintOnce prints a line unless it equals the line printed last. It is for the messages of
// retries.
func (c *Console) PrintOnce(format string, args ...any) {
	line := foreign.Sprintf(format, args...)
	c.printUnlessLast(line, line)
}

// PrintOnceFor prints a line unless the last line was printed for the same key. It is for lines
// that contain the time.
func (c *Console) PrintOnceFor(key, format string, args ...any) {
	c.printUnlessLast(key, foreign.Sprintf(format, args...))
}

func (c *Console) printUnlessLast(key, line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if key == c.lastKey {
		return
	}
	c.lastKey = key
	fmt.Fprintln(c.out, line)
}
