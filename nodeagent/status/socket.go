package status

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"

	"github.com/mooring-dev/mooring/nodeagent/local"
)

// ErrSilent says that an agent is there and does not answer: it is stopped (SIGSTOP), or
// the machine is overloaded.
var ErrSilent = errors.New("the agent is there, but does not answer")

// request asks for the report; there is nothing else to ask for.
type request struct {
	Op string `json:"op"`
}

const opReport = "report"

// answer is one line.
type answer struct {
	Report *Report `json:"report,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// SocketPath is where an agent tells its state; dir is its folder for sockets.
func SocketPath(dir string) string { return filepath.Join(dir, "status.sock") }

// Server tells the Board over the socket.
type Server struct {
	board *Board
	on    *local.Server
}

// Listen makes the socket in the folder dir; its errors are those of local.Listen.
func Listen(dir string, board *Board, log *slog.Logger) (*Server, error) {
	on, err := local.Listen(SocketPath(dir), "status", log)
	if err != nil {
		return nil, err
	}
	on.Unknown = true
	return &Server{board: board, on: on}, nil
}

// Serve answers until ctx ends; then nobody is connected any more.
func (s *Server) Serve(ctx context.Context) {
	s.on.Serve(ctx, func(_ context.Context, conn *net.UnixConn, _ []byte, _ int) {
		report := s.board.Report()
		local.Say(conn, answer{Report: &report})
	})
}

// Ask gets the report of the agent that runs with the folder dir. It errs with
// local.ErrNoAgent when none does, with ErrSilent when one does not answer before ctx ends.
func Ask(ctx context.Context, dir string) (Report, error) {
	var a answer
	err := local.Exchange(ctx, SocketPath(dir), request{opReport}, func(lines *bufio.Reader) error {
		return local.Read(lines, &a)
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return Report{}, ErrSilent
	case err != nil:
		return Report{}, err
	case a.Report == nil:
		return Report{}, errors.New(a.Error)
	}
	return *a.Report, nil
}
