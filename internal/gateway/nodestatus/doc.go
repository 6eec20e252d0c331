// Package nodestatus defines the part of Node.status that a gateway writes. It validates the
// description that a machine sends, composes the fields from the facts of a session, and builds the
// server-side apply that writes them. It also trims Nodes on their way into the cache.
//
// The package reads no clock and calls no API: callers pass times and write the result.
package nodestatus
