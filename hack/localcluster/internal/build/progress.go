package build

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// The intervals of progress lines: on a terminal one line is rewritten, in a log each line stays.
const (
	terminalInterval = time.Second
	logInterval      = 20 * time.Second
)

// runWithProgress runs `go build -v`, which prints each compiled package, and prints the progress.
// Its error contains the compiler's messages.
func runWithProgress(command *exec.Cmd, out io.Writer, task string) error {
	stderr, err := command.StderrPipe()
	if err != nil {
		return fmt.Errorf("%s: %w", task, err)
	}
	began := time.Now()
	if err := command.Start(); err != nil {
		return fmt.Errorf("%s: %w", task, err)
	}
	var meter meter
	read := make(chan struct{})
	go func() {
		defer close(read)
		meter.read(stderr)
	}()
	stop := printEvery(out, func() string {
		return fmt.Sprintf("%s: %s, %d packages compiled", task, time.Since(began).Round(time.Second), meter.count())
	})
	_, _ = fmt.Fprintf(out, "%s: about 10 minutes on 2 cores the first time, seconds after that\n", task)
	<-read // Wait closes the pipe, so everything has to be read before
	err = command.Wait()
	stop()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", task, err, meter.joinedMessages())
	}
	_, _ = fmt.Fprintf(out, "%s: done in %s\n", task, time.Since(began).Round(time.Second))
	return nil
}

// printEvery prints line at intervals until the returned function is called.
func printEvery(out io.Writer, line func() string) (stop func()) {
	interval, format, end := logInterval, "%s\n", ""
	if isTerminal(out) {
		interval, format, end = terminalInterval, "\r\x1b[K%s", "\r\x1b[K"
	}
	ticker := time.NewTicker(interval)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ticker.C:
				_, _ = fmt.Fprintf(out, format, line())
			case <-quit:
				_, _ = io.WriteString(out, end)
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(quit)
		<-done
	}
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// meter parses the output of `go build -v`: a line without space and colon is the path of a
// compiled package, every other line is a message.
type meter struct {
	mu       sync.Mutex
	packages int
	messages []string
}

const maxMessages = 50

func (m *meter) read(in io.Reader) {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		m.add(scanner.Text())
	}
	_, _ = io.Copy(io.Discard, in) // a line beyond the buffer must not block the build
}

func (m *meter) add(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !strings.ContainsAny(line, " :\t") {
		m.packages++
	} else if len(m.messages) < maxMessages && !strings.HasPrefix(line, "go: downloading ") {
		m.messages = append(m.messages, line)
	}
}

func (m *meter) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.packages
}

func (m *meter) joinedMessages() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.messages, "\n")
}
