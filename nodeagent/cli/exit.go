package cli

import (
	"errors"

	"github.com/mooring-dev/mooring/nodeagent/enroll"
	"github.com/mooring-dev/mooring/nodeagent/ownfile"
	"github.com/mooring-dev/mooring/nodeagent/store"
)

// Exit codes, a contract for scripts and service managers.
const (
	exitOK        = 0
	exitError     = 1
	exitUsage     = 2
	exitWrongCode = 3
	exitNoTries   = 4
	exitDenied    = 5
	exitExpired   = 6
	exitFailed    = 7
	exitDirectory = 8
	exitUnproven  = 9
	exitCodesHelp = `Exit codes:
  0  stopped on request
  1  another error
  2  wrong use, or not paired and no code given
  3  the gateway does not accept the pairing code
  4  the pairing code was tried 3 times from this machine
  5  the pairing request was denied
  6  nobody decided about the pairing request in time
  7  pairing failed, such as when the node name is taken or the ServiceAccount refused
  8  the identity directory is unsafe, in use or damaged
  9  the gateway could not prove that it knows the pairing code, or is not the one
     of the QR code or of --gateway-ca`
)

// exitCodes maps errors to exit codes; the first match counts.
var exitCodes = []struct {
	err  error
	code int
}{
	{enroll.ErrNoCode, exitUsage},
	{enroll.ErrWrongCode, exitWrongCode},
	{enroll.ErrNoTriesLeft, exitNoTries},
	{enroll.ErrDenied, exitDenied},
	{enroll.ErrExpired, exitExpired},
	{enroll.ErrNameTaken, exitFailed},
	{enroll.ErrFailed, exitFailed},
	{enroll.ErrAccountRefused, exitFailed},
	{enroll.ErrUnknownGateway, exitUnproven},
	{enroll.ErrUnprovenGateway, exitUnproven},
	{enroll.ErrUnpinnedGateway, exitUnproven},
	{store.ErrInsecure, exitDirectory},
	{ownfile.ErrLoose, exitDirectory},
	{store.ErrInUse, exitDirectory},
	{store.ErrDamaged, exitDirectory},
}

func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if !errors.As(err, new(runError)) {
		return exitUsage
	}
	for _, known := range exitCodes {
		if errors.Is(err, known.err) {
			return known.code
		}
	}
	return exitError
}
