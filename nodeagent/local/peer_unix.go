//go:build linux || darwin

package local

import "net"

// peerUID returns the user at the other end of the socket, as the kernel reports it.
func peerUID(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	uid := -1
	var inner error
	if err := raw.Control(func(fd uintptr) { uid, inner = socketPeer(int(fd)) }); err != nil {
		return -1, err
	}
	return uid, inner
}
