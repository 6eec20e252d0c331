//go:build unix

package process

// Supported returns the reason why this system cannot run programs, or nil.
func Supported() error { return nil }
