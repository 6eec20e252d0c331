package mediation

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/ownfile"
)

const (
	socketName = "mediation.sock"
	// maxRequestBytes bounds a line of a client, requestTimeout how long it may take.
	maxRequestBytes = 4 << 10
	requestTimeout  = 10 * time.Second
	// maxClients bounds the clients at a time.
	maxClients = 32
)

// The operations of a request.
const (
	opList  = "list"
	opWatch = "watch"
	opAllow = "allow"
	opDeny  = "deny"
)

// request and answer are the lines of the socket, JSON. A watch gets an answer for
// every change.
type request struct {
	Op   string `json:"op"`
	Name string `json:"name,omitempty"`
}

type answer struct {
	Questions []Question `json:"questions,omitempty"`
	Error     string     `json:"error,omitempty"`
}

// SocketPath is where an agent listens; dir is its folder for that.
func SocketPath(dir string) string { return filepath.Join(dir, socketName) }

// Server answers mooring-agent mediate.
type Server struct {
	desk     *Desk
	log      *slog.Logger
	listener *net.UnixListener
	uid      int
	slots    chan struct{}
}

// Listen makes the socket, mode 0600 in the folder dir of mode 0700. It errs with
// ownfile.ErrLoose when either is there already and somebody else could reach it. The
// caller holds the identity directory, so a socket that is there is nobody's.
func Listen(dir string, desk *Desk, log *slog.Logger) (*Server, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make folder of the mediation socket: %w", err)
	}
	path := SocketPath(dir)
	if err := checkPrivate(dir, path); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the socket of an earlier agent: %w", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for local mediation (a socket's path has at most about 100 bytes): %w", err)
	}
	// The folder keeps others out until then.
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, fmt.Errorf("protect the mediation socket: %w", err)
	}
	return &Server{desk: desk, log: log, listener: listener, uid: os.Geteuid(), slots: make(chan struct{}, maxClients)}, nil
}

func checkPrivate(paths ...string) error {
	if err := ownfile.CheckDir(paths[0]); err != nil {
		return err
	}
	for i, path := range paths {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if want := []fs.FileMode{0o700, 0o600}[i]; info.Mode().Perm()&^want&0o077 != 0 {
			return fmt.Errorf("%w: others can reach %s (mode %04o); make sure nobody answered in your place, then run: chmod %04o %s",
				ownfile.ErrLoose, path, info.Mode().Perm(), want, path)
		}
	}
	return nil
}

// Serve answers until ctx ends; then nobody is connected any more.
func (s *Server) Serve(ctx context.Context) {
	var clients sync.WaitGroup
	defer clients.Wait()
	stop := context.AfterFunc(ctx, func() { s.listener.Close() })
	defer stop()
	for {
		conn, err := s.listener.AcceptUnix()
		if err != nil {
			if ctx.Err() == nil {
				s.log.Error("the mediation socket ended; questions can be answered at the terminal only", "error", err)
			}
			return
		}
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			conn.Close()
			continue
		}
		clients.Go(func() {
			defer func() { <-s.slots }()
			s.serve(ctx, conn)
		})
	}
}

func (s *Server) serve(ctx context.Context, conn *net.UnixConn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(requestTimeout))
	uid, err := peerUID(conn)
	if err != nil || !s.admits(uid) {
		s.log.Warn("local mediation refused to another user", "uid", uid, "error", err)
		s.say(conn, answer{Error: "only the user of the agent and root may answer"})
		return
	}
	line, err := bufio.NewReader(io.LimitReader(conn, maxRequestBytes)).ReadBytes('\n')
	if err != nil {
		return
	}
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		s.say(conn, answer{Error: "the request is not JSON"})
		return
	}
	s.handle(ctx, conn, r, nameOf(uid))
}

// admits the agent's own user, and root, who could be anybody anyway.
func (s *Server) admits(uid int) bool { return uid == s.uid || uid == 0 }

func (s *Server) handle(ctx context.Context, conn *net.UnixConn, r request, by string) {
	switch r.Op {
	case opList:
		open, _ := s.desk.Questions()
		s.say(conn, answer{Questions: open})
	case opWatch:
		s.watch(ctx, conn)
	case opAllow, opDeny:
		q, err := s.desk.Answer(r.Name, r.Op == opAllow, by)
		if err != nil {
			s.say(conn, answer{Error: err.Error()})
			return
		}
		s.say(conn, answer{Questions: []Question{q}})
	default:
		s.say(conn, answer{Error: "unknown operation"})
	}
}

// watch tells the open questions again whenever they change, until the client goes.
func (s *Server) watch(ctx context.Context, conn *net.UnixConn) {
	_ = conn.SetDeadline(time.Time{})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = conn.Read(make([]byte, 1)) // it says nothing more; conn is closed on our way out
	}()
	defer func() { conn.Close(); <-gone }()
	for {
		open, changed := s.desk.Questions()
		_ = conn.SetWriteDeadline(time.Now().Add(requestTimeout))
		if !s.say(conn, answer{Questions: open}) {
			return
		}
		select {
		case <-changed:
		case <-gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) say(conn net.Conn, a answer) bool {
	line, err := json.Marshal(a)
	if err != nil {
		return false
	}
	_, err = conn.Write(append(line, '\n'))
	return err == nil
}

// nameOf is the login name of a user, or the id.
func nameOf(uid int) string {
	if found, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return found.Username
	}
	return strconv.Itoa(uid)
}
