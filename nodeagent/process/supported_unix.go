//go:build unix

package process

// Supported tells why programs cannot be run on this system; nil when they can.
func Supported() error { return nil }
