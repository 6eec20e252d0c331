// Package version carries the version stamped into every binary.
package version

// Version is set at link time (see the Makefile); "dev" for a plain `go build`.
var Version = "dev"
