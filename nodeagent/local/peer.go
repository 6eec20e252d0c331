package local

import "errors"

// errUnknownPeer is peerUID's where the system has no such question.
var errUnknownPeer = errors.New("this system does not tell who is at the other end of a socket")
