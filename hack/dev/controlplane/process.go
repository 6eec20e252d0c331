package controlplane

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// process is a program that runs until its standard input closes. So it ends with this process,
// even when this process is killed.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr bytes.Buffer // read after done
	lines  chan []byte
	done   chan struct{}
	err    error // valid after done
}

func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, lines: make(chan []byte, 1), done: make(chan struct{})}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.stdin, cmd.Stderr = stdin, &p.stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: build it with make, or say where it is with LOCALCLUSTER", err)
	}
	go func() {
		defer close(p.done)
		reader := bufio.NewReader(stdout)
		if line, err := reader.ReadBytes('\n'); err == nil {
			p.lines <- line
		}
		_, _ = io.Copy(io.Discard, reader)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// firstLine waits for the first line of standard output.
func (p *process) firstLine(ctx context.Context) ([]byte, error) {
	select {
	case line := <-p.lines:
		return line, nil
	case <-p.done:
		return nil, fmt.Errorf("the program ended: %w\n%s", errors.Join(p.err, io.EOF), p.stderr.Bytes())
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// stop closes standard input and waits; after the timeout it kills the process.
func (p *process) stop(timeout time.Duration) error {
	_ = p.stdin.Close()
	select {
	case <-p.done:
		return p.err
	case <-time.After(timeout):
	}
	err := p.cmd.Process.Kill()
	<-p.done
	return errors.Join(fmt.Errorf("%s did not end within %s", p.cmd.Path, timeout), err)
}
