package plugin

import (
	"errors"
	"fmt"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// The exit codes, documented for people in exitCodes.
const (
	exitOK          = 0
	exitGeneral     = 1
	exitUsage       = 2
	exitFailed      = 3
	exitTimedOut    = 4
	exitRejected    = 5
	exitCancelled   = 6
	exitInterrupted = 130 // shells use 128 + SIGINT
)

const exitCodes = `Exit codes:
  0    the capability Succeeded (with --wait=false: the dispatch was created)
  1    something else went wrong: no access, refused by the cluster, deleted meanwhile
  2    wrong usage: arguments, flags or input
  3    Failed     the capability returned an error or could not finish
  4    TimedOut   it did not start before --expiry, or not finish within --timeout
  5    Rejected   it was refused and never ran
  6    Cancelled
  130  interrupted by a second Ctrl-C; the dispatch continues`

// exitError is an error that ends the program with a given exit code. Without an inner error
// nothing more is printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageErrorf returns an error about the arguments that the person typed.
func usageErrorf(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// exitCode returns the exit code for an error.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return exitGeneral
}

// phaseExitCode returns the exit code for a terminal phase.
func phaseExitCode(phase v1alpha1.DispatchPhase) int {
	switch phase {
	case v1alpha1.DispatchSucceeded:
		return exitOK
	case v1alpha1.DispatchFailed:
		return exitFailed
	case v1alpha1.DispatchTimedOut:
		return exitTimedOut
	case v1alpha1.DispatchRejected:
		return exitRejected
	case v1alpha1.DispatchCancelled:
		return exitCancelled
	}
	return exitGeneral
}
