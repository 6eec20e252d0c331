package local

import "golang.org/x/sys/unix"

// socketPeer returns the user id of a socket's peer from SO_PEERCRED (unix(7)).
func socketPeer(fd int) (int, error) {
	credentials, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(credentials.Uid), nil
}
