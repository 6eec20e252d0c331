package mediation

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/local"
)

const socketName = "mediation.sock"

// The operations of a request.
const (
	opList  = "list"
	opWatch = "watch"
	opAllow = "allow"
	opDeny  = "deny"
)

// request is a line of the client in JSON; an answer is a line of the agent. A watch receives an
// answer for every change.
type request struct {
	Op   string `json:"op"`
	Name string `json:"name,omitempty"`
}

type answer struct {
	Questions []Question `json:"questions,omitempty"`
	Error     string     `json:"error,omitempty"`
}

// SocketPath returns the path of the agent's socket in its folder dir.
func SocketPath(dir string) string { return filepath.Join(dir, socketName) }

// Server answers mooring-agent mediate.
type Server struct {
	queue  *ApprovalQueue
	socket *local.Server
}

// Listen creates the socket in the folder dir. It returns the errors of local.Listen.
func Listen(dir string, queue *ApprovalQueue, log *slog.Logger) (*Server, error) {
	socket, err := local.Listen(SocketPath(dir), "local mediation", log)
	if err != nil {
		return nil, err
	}
	return &Server{queue: queue, socket: socket}, nil
}

// Serve answers clients until ctx ends. It returns after the last connection is closed.
func (s *Server) Serve(ctx context.Context) { s.socket.Serve(ctx, s.serveClient) }

func (s *Server) serveClient(ctx context.Context, conn *net.UnixConn, line []byte, uid int) {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		local.WriteAnswer(conn, answer{Error: "the request is not JSON"})
		return
	}
	s.handleRequest(ctx, conn, r, userName(uid))
}

func (s *Server) handleRequest(ctx context.Context, conn *net.UnixConn, r request, by string) {
	switch r.Op {
	case opList:
		open, _ := s.queue.Questions()
		local.WriteAnswer(conn, answer{Questions: open})
	case opWatch:
		s.watch(ctx, conn)
	case opAllow, opDeny:
		q, err := s.queue.Answer(r.Name, r.Op == opAllow, by)
		if err != nil {
			local.WriteAnswer(conn, answer{Error: err.Error()})
			return
		}
		local.WriteAnswer(conn, answer{Questions: []Question{q}})
	default:
		local.WriteAnswer(conn, answer{Error: "unknown operation"})
	}
}

// watch sends the open questions whenever they change, until the client disconnects.
func (s *Server) watch(ctx context.Context, conn *net.UnixConn) {
	_ = conn.SetDeadline(time.Time{})
	disconnected := make(chan struct{})
	go func() {
		defer close(disconnected)
		_, _ = conn.Read(make([]byte, 1)) // the client sends nothing more; the deferred Close ends the read
	}()
	defer func() { conn.Close(); <-disconnected }()
	for {
		open, changed := s.queue.Questions()
		_ = conn.SetWriteDeadline(time.Now().Add(local.Timeout))
		if !local.WriteAnswer(conn, answer{Questions: open}) {
			return
		}
		select {
		case <-changed:
		case <-disconnected:
			return
		case <-ctx.Done():
			return
		}
	}
}

// userName returns the login name of a user, or the id as text.
func userName(uid int) string {
	if found, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return found.Username
	}
	return strconv.Itoa(uid)
}
