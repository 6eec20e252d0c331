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

// ErrNotResponding means that an agent listens and does not answer: it is stopped (SIGSTOP), or the
// machine is overloaded.
var ErrNotResponding = errors.New("the agent is running but does not answer")

// request asks for the report, the only operation.
type request struct {
	Op string `json:"op"`
}

const opReport = "report"

// answer is the one line with which the agent answers.
type answer struct {
	Report *Report `json:"report,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// SocketPath returns the path of the agent's status socket in its folder dir.
func SocketPath(dir string) string { return filepath.Join(dir, "status.sock") }

// Server serves the reports of the Tracker on the socket.
type Server struct {
	tracker *Tracker
	socket  *local.Server
}

// Listen creates the socket in the folder dir. It returns the errors of local.Listen.
func Listen(dir string, tracker *Tracker, log *slog.Logger) (*Server, error) {
	socket, err := local.Listen(SocketPath(dir), "status", log)
	if err != nil {
		return nil, err
	}
	socket.AllowUnknownPeers = true
	return &Server{tracker: tracker, socket: socket}, nil
}

// Serve answers clients until ctx ends. It returns after the last connection is closed.
func (s *Server) Serve(ctx context.Context) {
	s.socket.Serve(ctx, func(_ context.Context, conn *net.UnixConn, _ []byte, _ int) {
		report := s.tracker.Report()
		local.WriteAnswer(conn, answer{Report: &report})
	})
}

// FetchReport returns the report of the agent that runs with the folder dir. It returns
// local.ErrNoAgent when no agent runs, and ErrNotResponding when the agent does not answer before
// ctx ends.
func FetchReport(ctx context.Context, dir string) (Report, error) {
	var a answer
	err := local.Exchange(ctx, SocketPath(dir), request{opReport}, func(lines *bufio.Reader) error {
		return local.ReadAnswer(lines, &a)
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return Report{}, ErrNotResponding
	case err != nil:
		return Report{}, err
	case a.Report == nil:
		return Report{}, errors.New(a.Error)
	}
	return *a.Report, nil
}
