package process

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxProgressLine bounds a line on file descriptor 3; the rest of a longer one is dropped.
const maxProgressLine = 512

// pipes are the files of a program, with the data that the agent read from them.
type pipes struct {
	agentEnds, programEnds []*os.File
	// These are the agent's ends of standard input, output and error and of file descriptor 3.
	stdin, stdout, stderr, progress *os.File

	reading sync.WaitGroup
	output  headBuffer
	errors  tailBuffer
}

func openPipes(c Command) (*pipes, error) {
	p := &pipes{output: headBuffer{limit: c.MaxOutput}}
	for _, end := range []struct {
		ours   **os.File
		writes bool
	}{{&p.stdin, true}, {&p.stdout, false}, {&p.stderr, false}, {&p.progress, false}} {
		r, w, err := os.Pipe()
		if err != nil {
			p.close()
			return nil, err
		}
		agentEnd, programEnd := r, w
		if end.writes {
			agentEnd, programEnd = w, r
		}
		*end.ours = agentEnd
		p.agentEnds, p.programEnds = append(p.agentEnds, agentEnd), append(p.programEnds, programEnd)
	}
	return p, nil
}

func (p *pipes) attach(cmd *exec.Cmd) {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.programEnds[0], p.programEnds[1], p.programEnds[2]
	cmd.ExtraFiles = p.programEnds[3:]
}

// startIO starts to read and write. It closes the program's ends, of which the program has copies.
func (p *pipes) startIO(c Command) {
	closeAll(p.programEnds)
	p.programEnds = nil
	p.reading.Go(func() {
		_, _ = p.stdin.Write(c.Stdin) // a program need not read its input
		p.stdin.Close()
	})
	p.reading.Go(func() { _, _ = io.Copy(&p.output, p.stdout) })
	p.reading.Go(func() { _, _ = io.Copy(&p.errors, p.stderr) })
	p.reading.Go(func() { readProgress(p.progress, c.Progress) })
}

// collectResult waits for the program's output, but at most drainTimeout for a survivor that keeps
// the files open.
func (p *pipes) collectResult() Result {
	p.stdin.Close()
	for _, file := range p.agentEnds[1:] {
		_ = file.SetReadDeadline(time.Now().Add(drainTimeout)) // pipes have deadlines
	}
	p.reading.Wait()
	return Result{Output: p.output.data, Overflow: p.output.overflow, Errors: p.errors.data}
}

func (p *pipes) close() {
	closeAll(p.agentEnds)
	closeAll(p.programEnds)
}

func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}

// headBuffer keeps the beginning of the data that is written to it.
type headBuffer struct {
	limit    int
	data     []byte
	overflow bool
}

func (h *headBuffer) Write(b []byte) (int, error) {
	room := min(len(b), h.limit-len(h.data))
	h.data = append(h.data, b[:room]...)
	h.overflow = h.overflow || room < len(b)
	return len(b), nil
}

// tailBuffer keeps the end of the data that is written to it.
type tailBuffer struct{ data []byte }

func (t *tailBuffer) Write(b []byte) (int, error) {
	t.data = append(t.data, b...)
	if extra := len(t.data) - maxErrorBytes; extra > 0 {
		t.data = append(t.data[:0], t.data[extra:]...)
	}
	return len(b), nil
}

func readProgress(from io.Reader, report func(int, string)) {
	lines := bufio.NewReaderSize(from, maxProgressLine)
	for {
		line, err := lines.ReadSlice('\n')
		truncated := errors.Is(err, bufio.ErrBufferFull)
		if percent, message, ok := parseProgress(string(line)); ok && report != nil {
			report(percent, message)
		}
		for truncated && errors.Is(err, bufio.ErrBufferFull) {
			_, err = lines.ReadSlice('\n')
		}
		if err != nil {
			return
		}
	}
}

// parseProgress reads "PERCENT TEXT".
func parseProgress(line string) (percent int, message string, ok bool) {
	number, message, _ := strings.Cut(strings.TrimSpace(line), " ")
	percent, err := strconv.Atoi(strings.TrimSuffix(number, "%"))
	if err != nil || percent < 0 || percent > 100 {
		return 0, "", false
	}
	return percent, message, true
}
