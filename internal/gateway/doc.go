// Package gateway is the part of the manager that faces the network: two TLS 1.3
// listeners, one for machines that want an identity (pairing, no client
// certificate) and one for machines that have one (node, client certificate).
//
// A call passes, in this order: the connection limits of its listener, the TLS
// handshake with our own verifier, the call limiter, the closed-world table of
// methods, the Authorizer (node listener), and only then its service. Services
// read the caller from package peer, never from a message.
//
// The services live in the packages pairing, certificates and session below; this
// package knows their gRPC interfaces only.
package gateway
