//go:build !linux && !darwin

package local

import "net"

// peerUID always fails on these systems, so only a Server with AllowUnknownPeers accepts clients.
func peerUID(*net.UnixConn) (int, error) { return -1, errUnknownPeer }
