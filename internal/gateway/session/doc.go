// Package session serves NodeService: it holds the sessions of machines, offers them the
// dispatches of their Node and settles what they answer.
//
// One actor goroutine owns all state of one session and never blocks: what it hears
// comes in over channels (the machine, the informers, finished writes), what it wants
// done leaves it as messages (outbox) or as writes on a few worker goroutines. Whether a
// dispatch may be offered or what its status becomes is decided by package dispatch.
//
// The order that makes the promises of the protocol true:
//
//	Hello -> one live read of the Node, one LIST of its unfinished dispatches
//	      -> what the journal already holds is claimed (or the journal is reset)
//	      -> the session is recorded in Node.status, by resourceVersion
//	      -> Welcome, then offers: younger than the record at once, older ones claimed first
//	      -> results are written with the cached resourceVersion, then Settled
//	      -> the end is recorded, unless a newer session took over
package session
