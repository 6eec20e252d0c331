//go:build unix

package desktop

import "syscall"

// nonBlocking keeps the agent from waiting for the writer of a pipe that replaced a file.
const nonBlocking = syscall.O_NONBLOCK
