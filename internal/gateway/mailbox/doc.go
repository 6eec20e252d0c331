// Package mailbox reads and writes the dispatches of Nodes. A write compares and swaps: it is decided
// again when another writer changed the dispatch.
package mailbox
