// Package dispatchtable decides the next step of each unfinished dispatch of one Node during one
// session. It is pure: a call takes an event and a Snapshot of what the session knows, and returns
// Effects. The session sends the messages, runs the jobs and sets the alarm. It passes the result of
// each job back to the Table.
//
// Facts about a dispatch arrive in any order, from the machine, from the watch and from own writes.
// Table.advance considers all of them and takes the next step. Package dispatch defines which status
// follows.
package dispatchtable
