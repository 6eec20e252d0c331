// Package local is how other programs on this machine speak with a running agent: over
// unix sockets in a folder of its user, a line of JSON there, lines of JSON back.
//
// What answers is the living process, so a socket cannot tell what was true before an
// agent was killed.
package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/mooring-dev/mooring/internal/jsontext"
	"github.com/mooring-dev/mooring/nodeagent/ownfile"
)

const (
	// maxRequestBytes bounds a line of a client, Timeout how long it may take.
	maxRequestBytes = 4 << 10
	// Timeout is for one exchange.
	Timeout = 10 * time.Second
	// maxClients bounds the clients at a time.
	maxClients = 32
)

// Handler answers the one line of a client; uid is the user at the other end. It may
// leave the connection open for more answers, until ctx ends.
type Handler func(ctx context.Context, conn *net.UnixConn, line []byte, uid int)

// Server admits the agent's own user, and root, who could be anybody anyway.
type Server struct {
	purpose  string
	log      *slog.Logger
	listener *net.UnixListener
	uid      int
	slots    chan struct{}
	// Unknown admits clients where the system does not tell who they are: for what only
	// reads.
	Unknown bool
}

// Listen makes the socket, mode 0600 in a folder of mode 0700. It errs with
// ownfile.ErrLoose when either is there already and somebody else could reach it. The
// caller holds the identity directory, so a socket that is there is nobody's. purpose
// says in errors what it is for.
func Listen(path, purpose string, log *slog.Logger) (*Server, error) {
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make folder of the socket for %s: %w", purpose, err)
	}
	if err := checkPrivate(dir, path); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the socket of an earlier agent: %w", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for %s (a socket's path has at most about 100 bytes): %w", purpose, err)
	}
	// The folder keeps others out until then.
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, fmt.Errorf("protect the socket for %s: %w", purpose, err)
	}
	return &Server{purpose: purpose, log: log, listener: listener, uid: os.Geteuid(), slots: make(chan struct{}, maxClients)}, nil
}

func checkPrivate(paths ...string) error {
	if err := ownfile.CheckFolder(paths[0]); err != nil {
		return err
	}
	for i, path := range paths {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || runtime.GOOS == "windows" {
			continue // there, access lists protect, which the folder inherits
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
func (s *Server) Serve(ctx context.Context, handle Handler) {
	var clients sync.WaitGroup
	defer clients.Wait()
	stop := context.AfterFunc(ctx, func() { s.listener.Close() })
	defer stop()
	for {
		conn, err := s.listener.AcceptUnix()
		if err != nil {
			if ctx.Err() == nil {
				s.log.Error("a socket of the agent ended", "for", s.purpose, "error", err)
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
			s.serve(ctx, conn, handle)
		})
	}
}

func (s *Server) serve(ctx context.Context, conn *net.UnixConn, handle Handler) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(Timeout))
	uid, err := peerUID(conn)
	if unknown := s.Unknown && errors.Is(err, errUnknownPeer); !unknown && (err != nil || !s.admits(uid)) {
		s.log.Warn("a socket refused another user", "for", s.purpose, "uid", uid, "error", err)
		Say(conn, map[string]string{"error": "only the user of the agent and root may do this"})
		return
	}
	line, err := bufio.NewReader(io.LimitReader(conn, maxRequestBytes)).ReadBytes('\n')
	if err != nil {
		return
	}
	handle(ctx, conn, line, uid)
}

func (s *Server) admits(uid int) bool { return uid == s.uid || uid == 0 }

// Abandon stops listening and leaves the socket where it is, as a killed process does.
func (s *Server) Abandon() {
	s.listener.SetUnlinkOnClose(false)
	s.listener.Close()
}

// Say answers with a line; false when the client is gone.
func Say(conn net.Conn, answer any) bool {
	line, err := jsontext.Marshal(answer)
	if err != nil {
		return false
	}
	_, err = conn.Write(append(line, '\n'))
	return err == nil
}
