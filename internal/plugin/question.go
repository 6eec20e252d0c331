package plugin

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/mooring-dev/mooring/internal/foreign"
)

// question asks the person at the terminal.
type question struct {
	answers *bufio.Reader
	out     io.Writer
	// interactive is false when standard input is not a terminal, so that no person could answer.
	interactive bool
}

func newQuestion(streams genericiooptions.IOStreams) *question {
	file, ok := streams.In.(*os.File)
	return &question{
		answers: bufio.NewReader(streams.In), out: streams.ErrOut,
		interactive: ok && term.IsTerminal(int(file.Fd())),
	}
}

// confirm asks once. Anything but y or yes is a no, and so is the end of the input.
func (q *question) confirm(prompt string) bool {
	fmt.Fprint(q.out, foreign.CleanLine(prompt))
	line, err := q.answers.ReadString('\n')
	if err != nil {
		fmt.Fprintln(q.out)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true
	}
	return false
}
