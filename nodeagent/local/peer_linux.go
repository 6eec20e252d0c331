package local

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerUID is the user at the other end, by the kernel's word (SO_PEERCRED, unix(7)).
func peerUID(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	uid := -1
	var inner error
	err = raw.Control(func(fd uintptr) {
		var credentials *unix.Ucred
		if credentials, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); inner == nil {
			uid = int(credentials.Uid)
		}
	})
	if err == nil {
		err = inner
	}
	return uid, err
}
