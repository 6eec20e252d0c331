package mediation

import (
	"bufio"
	"context"
	"errors"
	"io"

	"github.com/mooring-dev/mooring/nodeagent/local"
)

// Client sends requests to the agent of an identity directory.
type Client struct {
	// Socket is the path of the agent's socket, from SocketPath.
	Socket string
}

// ErrNoAgent means that no agent listens on the socket.
var ErrNoAgent = local.ErrNoAgent

// List returns the open questions.
func (c Client) List(ctx context.Context) ([]Question, error) {
	return c.send(ctx, request{Op: opList})
}

// Answer answers a question, given by its UID or name, and returns the question. After that the
// answer is on disk.
func (c Client) Answer(ctx context.Context, name string, allowed bool) (Question, error) {
	op := opDeny
	if allowed {
		op = opAllow
	}
	questions, err := c.send(ctx, request{Op: op, Name: name})
	if err != nil {
		return Question{}, err
	}
	if len(questions) != 1 {
		return Question{}, errors.New("the agent did not return the answered question")
	}
	return questions[0], nil
}

// Watch calls onChange with the open questions at once and after every change, until ctx or the
// agent ends.
func (c Client) Watch(ctx context.Context, onChange func([]Question)) error {
	return c.exchange(ctx, request{Op: opWatch}, func(lines *bufio.Reader) error {
		for {
			questions, err := readAnswer(lines)
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the connection was closed because ctx ended
			}
			if errors.Is(err, io.EOF) {
				return ErrNoAgent
			}
			if err != nil {
				return err
			}
			onChange(questions)
		}
	})
}

func (c Client) send(ctx context.Context, r request) (questions []Question, err error) {
	ctx, cancel := context.WithTimeout(ctx, local.Timeout)
	defer cancel()
	err = c.exchange(ctx, r, func(lines *bufio.Reader) error {
		questions, err = readAnswer(lines)
		return err
	})
	return questions, err
}

func (c Client) exchange(ctx context.Context, r request, read func(*bufio.Reader) error) error {
	return local.Exchange(ctx, c.Socket, r, read)
}

func readAnswer(lines *bufio.Reader) ([]Question, error) {
	var a answer
	if err := local.ReadAnswer(lines, &a); err != nil {
		return nil, err
	}
	if a.Error != "" {
		return nil, errors.New(a.Error)
	}
	return a.Questions, nil
}
