package local

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerUID is the user at the other end, by the kernel's word (LOCAL_PEERCRED).
func peerUID(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	uid := -1
	var inner error
	err = raw.Control(func(fd uintptr) {
		var credentials *unix.Xucred
		if credentials, inner = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED); inner == nil {
			uid = int(credentials.Uid)
		}
	})
	if err == nil {
		err = inner
	}
	return uid, err
}
