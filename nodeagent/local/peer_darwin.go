package local

import "golang.org/x/sys/unix"

// socketPeer returns the user id of a socket's peer from LOCAL_PEERCRED.
func socketPeer(fd int) (int, error) {
	credentials, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(credentials.Uid), nil
}
