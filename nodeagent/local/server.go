// Package local connects other programs on this machine with a running agent. It uses unix sockets
// in a folder of the agent's user: the client sends one line of JSON, the agent answers with lines
// of JSON.
//
// The living process answers, so a socket cannot show the state of an agent that was killed.
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
	// maxRequestBytes bounds a line of a client, in bytes.
	maxRequestBytes = 4 << 10
	// Timeout bounds one exchange, the client's line included.
	Timeout = 10 * time.Second
	// maxClients bounds the number of concurrent clients.
	maxClients = 32
)

// Handler answers the one line of a client; uid is the user at the other end. It may send more
// answers on the connection until ctx ends.
type Handler func(ctx context.Context, conn *net.UnixConn, line []byte, uid int)

// Server accepts clients of the agent's own user and of root, who can act as any user anyway.
type Server struct {
	purpose  string
	log      *slog.Logger
	listener *net.UnixListener
	uid      int
	slots    chan struct{}
	// AllowUnknownPeers accepts clients on systems that cannot report the user of a client. Only
	// sockets for reading may set it.
	AllowUnknownPeers bool
}

// Listen creates the socket, with mode 0600 in a folder of mode 0700. It returns ownfile.ErrUnsafe
// if another user could reach an existing folder or socket. The caller holds the identity
// directory, so no process uses an existing socket. purpose names the socket in errors.
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
	// Until this call the mode of the folder keeps others out.
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, fmt.Errorf("protect the socket for %s: %w", purpose, err)
	}
	return &Server{purpose: purpose, log: log, listener: listener, uid: os.Geteuid(), slots: make(chan struct{}, maxClients)}, nil
}

func checkPrivate(paths ...string) error {
	if err := ownfile.CheckDirOnly(paths[0]); err != nil {
		return err
	}
	for i, path := range paths {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || runtime.GOOS == "windows" {
			continue // on Windows the socket inherits the access list of the folder, which protects it
		}
		if err != nil {
			return err
		}
		if allowed := []fs.FileMode{0o700, 0o600}[i]; info.Mode().Perm()&^allowed&0o077 != 0 {
			return fmt.Errorf("%w: others can reach %s (mode %04o); check that no other user answered a question, then run: chmod %04o %s",
				ownfile.ErrUnsafe, path, info.Mode().Perm(), allowed, path)
		}
	}
	return nil
}

// Serve answers clients until ctx ends. It returns after the last connection is closed.
func (s *Server) Serve(ctx context.Context, handle Handler) {
	var clients sync.WaitGroup
	defer clients.Wait()
	stop := context.AfterFunc(ctx, func() { s.listener.Close() })
	defer stop()
	for {
		conn, err := s.listener.AcceptUnix()
		if err != nil {
			if ctx.Err() == nil {
				s.log.Error("the agent no longer listens on a socket", "for", s.purpose, "error", err)
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
			s.serveClient(ctx, conn, handle)
		})
	}
}

func (s *Server) serveClient(ctx context.Context, conn *net.UnixConn, handle Handler) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(Timeout))
	uid, err := peerUID(conn)
	if allowed := s.AllowUnknownPeers && errors.Is(err, errUnknownPeer); !allowed && (err != nil || !s.isAuthorized(uid)) {
		s.log.Warn("refused a client of another user", "for", s.purpose, "uid", uid, "error", err)
		WriteAnswer(conn, map[string]string{"error": "only the user of the agent and root may do this"})
		return
	}
	line, err := bufio.NewReader(io.LimitReader(conn, maxRequestBytes)).ReadBytes('\n')
	if err != nil {
		return
	}
	handle(ctx, conn, line, uid)
}

func (s *Server) isAuthorized(uid int) bool { return uid == s.uid || uid == 0 }

// Abandon stops listening and leaves the socket's file in place, as a killed process does.
func (s *Server) Abandon() {
	s.listener.SetUnlinkOnClose(false)
	s.listener.Close()
}

// WriteAnswer writes answer as one line. It returns false if the client has disconnected.
func WriteAnswer(conn net.Conn, answer any) bool {
	line, err := jsontext.Marshal(answer)
	if err != nil {
		return false
	}
	_, err = conn.Write(append(line, '\n'))
	return err == nil
}
