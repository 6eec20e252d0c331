// Package session serves NodeService: it holds the sessions of machines, offers the machines the
// dispatches of their Node and settles the results.
//
// One actor goroutine owns all state of one session and never blocks. Its inputs arrive over
// channels: messages of the machine, events of the informers, finished writes. Its outputs are
// messages (package link) and writes on a few worker goroutines. Package dispatchtable decides the
// next step of each dispatch, package nodestatus composes Node.status, and package publisher decides
// when it is written.
//
// The guarantees of the protocol depend on this order:
//
//	Hello -> one live read of the Node, one LIST of its unfinished dispatches
//	      -> dispatches that are in the journal are claimed (or the journal is reset)
//	      -> the session is recorded in Node.status, by resourceVersion
//	      -> Welcome, then offers: dispatches younger than the record at once, older ones
//	         after a claim
//	      -> results are written with the cached resourceVersion, then Settled
//	      -> the end is recorded, unless a newer session replaced this one
package session
