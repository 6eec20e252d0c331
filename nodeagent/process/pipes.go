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
	ours, theirs []*os.File
	// These are the agent's ends of standard input, output and error and of file descriptor 3.
	stdin, stdout, stderr, progress *os.File

	reading sync.WaitGroup
	output  head
	errors  tail
}

func openPipes(c Command) (*pipes, error) {
	p := &pipes{output: head{limit: c.MaxOutput}}
	for _, end := range []struct {
		ours   **os.File
		writes bool
	}{{&p.stdin, true}, {&p.stdout, false}, {&p.stderr, false}, {&p.progress, false}} {
		r, w, err := os.Pipe()
		if err != nil {
			p.close()
			return nil, err
		}
		mine, its := r, w
		if end.writes {
			mine, its = w, r
		}
		*end.ours = mine
		p.ours, p.theirs = append(p.ours, mine), append(p.theirs, its)
	}
	return p, nil
}

func (p *pipes) attach(cmd *exec.Cmd) {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.theirs[0], p.theirs[1], p.theirs[2]
	cmd.ExtraFiles = p.theirs[3:]
}

// began starts to read and write. It closes the program's ends, of which the program has copies.
func (p *pipes) began(c Command) {
	closeAll(p.theirs)
	p.theirs = nil
	p.reading.Go(func() {
		_, _ = p.stdin.Write(c.Stdin) // a program need not read its input
		p.stdin.Close()
	})
	p.reading.Go(func() { _, _ = io.Copy(&p.output, p.stdout) })
	p.reading.Go(func() { _, _ = io.Copy(&p.errors, p.stderr) })
	p.reading.Go(func() { readProgress(p.progress, c.Progress) })
}

// result waits for the program's output, but at most drain for a survivor that keeps the files open.
func (p *pipes) result() Result {
	p.stdin.Close()
	for _, file := range p.ours[1:] {
		_ = file.SetReadDeadline(time.Now().Add(drain)) // pipes have deadlines
	}
	p.reading.Wait()
	return Result{Output: p.output.kept, Overflow: p.output.overflow, Errors: p.errors.kept}
}

func (p *pipes) close() {
	closeAll(p.ours)
	closeAll(p.theirs)
}

func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}

// head keeps the beginning of the data that is written to it.
type head struct {
	limit    int
	kept     []byte
	overflow bool
}

func (h *head) Write(b []byte) (int, error) {
	room := min(len(b), h.limit-len(h.kept))
	h.kept = append(h.kept, b[:room]...)
	h.overflow = h.overflow || room < len(b)
	return len(b), nil
}

// tail keeps the end of the data that is written to it.
type tail struct{ kept []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b...)
	if extra := len(t.kept) - maxTail; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	return len(b), nil
}

func readProgress(from io.Reader, tell func(int, string)) {
	lines := bufio.NewReaderSize(from, maxProgressLine)
	for {
		line, err := lines.ReadSlice('\n')
		cut := errors.Is(err, bufio.ErrBufferFull)
		if percent, message, ok := parseProgress(string(line)); ok && tell != nil {
			tell(percent, message)
		}
		for cut && errors.Is(err, bufio.ErrBufferFull) {
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
