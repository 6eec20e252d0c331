// Package console prints the lines a person at the machine reads. Everything else
// the agent has to tell goes to its log.
package console

import (
	"fmt"
	"io"
	"sync"

	"github.com/mooring-dev/mooring/internal/foreign"
)

// Console prints whole lines. It is for concurrent use.
type Console struct {
	mu   sync.Mutex
	out  io.Writer
	last string
}

// New prints to out.
func New(out io.Writer) *Console { return &Console{out: out} }

// Say prints a line. Its arguments cannot begin another one.
func (c *Console) Say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = foreign.Sprintf(format, args...)
	fmt.Fprintln(c.out, c.last)
}

// SayOnce prints a line unless it is the one printed last: for what is tried again
// and again.
func (c *Console) SayOnce(format string, args ...any) {
	line := foreign.Sprintf(format, args...)
	c.printUnlessLast(line, line)
}

// SayOnceFor prints a line unless the last one was printed for the same key: for a line that holds
// the time.
func (c *Console) SayOnceFor(key, format string, args ...any) {
	c.printUnlessLast(key, foreign.Sprintf(format, args...))
}

func (c *Console) printUnlessLast(key, line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if key == c.last {
		return
	}
	c.last = key
	fmt.Fprintln(c.out, line)
}
