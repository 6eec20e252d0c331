//go:build !linux

package process

// RunAsInit runs main and returns its exit code; it reaps orphans on Linux only.
func RunAsInit(main func() int) int { return main() }
