package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"github.com/mooring-dev/mooring/internal/jsontext"
)

// ErrNoAgent means that no agent listens on the socket.
var ErrNoAgent = errors.New("no agent runs there")

// Exchange sends request to the agent behind a socket and calls read with its answers.
func Exchange(ctx context.Context, socket string, request any, read func(*bufio.Reader) error) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w (%s); start it: mooring-agent start, or mooring-agent run, with this --identity-dir", ErrNoAgent, socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the agent's socket belongs to another user: run this command as the user of the agent: %w", err)
	case err != nil:
		return fmt.Errorf("reach the agent: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	line, err := jsontext.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	return read(bufio.NewReader(conn))
}

// ReadAnswer reads one line of the agent's answers into answer.
func ReadAnswer(lines *bufio.Reader, answer any) error {
	line, err := lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, answer)
	}
	if err != nil {
		return fmt.Errorf("read the agent's answer: %w", err)
	}
	return nil
}
