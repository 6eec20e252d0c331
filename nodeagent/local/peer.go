package local

import "errors"

// errUnknownPeer is the error of peerUID on systems that cannot report the peer of a socket.
var errUnknownPeer = errors.New("this system cannot report the user at the other end of a socket")
