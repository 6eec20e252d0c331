package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mooring-dev/mooring/internal/foreign"
)

// printOutput writes the output of a capability. With raw it writes the output unchanged, a text
// without its quotes. A pipe gets indented JSON. A terminal gets no unsafe characters. On a
// terminal every line of a text of several lines is marked, so that it cannot look like a line of
// this program.
func (t *tool) printOutput(output []byte, raw bool) error {
	var text string
	isText := json.Unmarshal(output, &text) == nil && output[0] == '"'
	switch {
	case raw && isText:
		_, err := fmt.Fprint(t.Out, text)
		return err
	case raw:
		_, err := fmt.Fprintln(t.Out, string(output))
		return err
	case isText && isTerminal(t.Out) && strings.Contains(strings.TrimSpace(text), "\n"):
		_, err := fmt.Fprintln(t.Out, strings.TrimPrefix(foreign.QuoteLines(text), "\n"))
		return err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, output, "", "  "); err != nil {
		return fmt.Errorf("read the output: %w", err)
	}
	_, err := fmt.Fprintln(t.Out, string(t.escapeForTerminal(indented.Bytes())))
	return err
}
