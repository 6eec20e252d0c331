// Package gateway is the part of the manager that faces the network. It has two TLS 1.3 listeners:
// pairing, for machines without an identity (no client certificate), and node, for machines with
// one (client certificate).
//
// A call first passes the connection limits of its listener and the TLS handshake with our own
// verifier. Then it passes the call limiter, the table of allowed methods, the Authorizer (node
// listener), and its service, in this order. Services read the caller from package peer, never from
// a message.
//
// The services are in the packages pairing, certificates and session. This package uses only their
// gRPC interfaces.
package gateway
