package cli

import (
	"errors"
	"io/fs"

	"github.com/mooring-dev/mooring/nodeagent/identity/enroll"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/local"
	"github.com/mooring-dev/mooring/nodeagent/ownfile"
	"github.com/mooring-dev/mooring/nodeagent/service"
)

// The exit codes are an API for scripts and service managers.
const (
	exitOK              = 0
	exitError           = 1
	exitUsage           = 2
	exitWrongCode       = 3
	exitNoTriesLeft     = 4
	exitDenied          = 5
	exitExpired         = 6
	exitPairingFailed   = 7
	exitIdentityDir     = 8
	exitUnprovenGateway = 9

	exitNotInstalled      = 10
	exitPermission        = 11
	exitServiceManager    = 12
	exitRevocationNotSent = 13

	exitNotConnected = 20
	exitNotRunning   = 21
	exitNotPaired    = 22
	exitChecksFailed = 23

	exitCodesHelp = `Exit codes:
  0  stopped on request
  1  another error
  2  wrong use, or not paired and no code given
  3  the gateway does not accept the pairing code
  4  the pairing code was tried 3 times from this machine
  5  the pairing request was denied
  6  the pairing request was not decided in time
  7  pairing failed, such as when the node name is taken or the ServiceAccount refused
  8  the identity directory is unsafe, in use or damaged, or another user can write
     a file that the agent obeys
  9  the gateway could not prove that it knows the pairing code, or is not the one
     of the QR code or of --gateway-ca`
	serviceCodesHelp = `Exit codes, in addition to those of run:
  0   done, or already so
  2   wrong use, or a mistake in the configuration file
  8   the identity directory is unsafe, in use or damaged, or another user can write
      a file that the agent obeys, such as its program
  10  no service is installed
  11  the rights of this user do not suffice
  12  there is no service manager, or it refused
  13  uninstall --revoke could not notify the cluster; nothing was removed
  22  the machine is not paired`
	statusCodesHelp = `Exit codes:
  0   the agent has a session with a gateway
  2   wrong use; or a mistake in the configuration file, so that the identity
      directory is unknown
  8   no agent runs, and the identity directory is unsafe or damaged
  11  the rights of this user do not suffice to look
  20  the agent runs, and has no session
  21  no agent runs
  22  no agent runs, and the machine is not paired`
	logsCodesHelp = `Exit codes:
  0   shown
  1   there is no log yet
  10  no service is installed
  11  the rights of this user do not suffice
  12  there is no service manager, or it refused`
	mediateCodesHelp = `Exit codes:
  0   done
  1   nothing of that name waits for an answer
  2   wrong use, or a mistake in the configuration file
  11  the socket belongs to another user
  21  no agent runs`
	configCodesHelp = `Exit codes:
  0   it is good, or not there
  2   it has a mistake
  8   others can write it
  11  this user cannot read it`
)

// exitCodes maps errors to exit codes; the first match applies.
var exitCodes = []struct {
	err  error
	code int
}{
	{enroll.ErrNoCode, exitUsage},
	{enroll.ErrWrongCode, exitWrongCode},
	{enroll.ErrNoTriesLeft, exitNoTriesLeft},
	{enroll.ErrDenied, exitDenied},
	{enroll.ErrExpired, exitExpired},
	{enroll.ErrNameTaken, exitPairingFailed},
	{enroll.ErrFailed, exitPairingFailed},
	{enroll.ErrAccountRefused, exitPairingFailed},
	{enroll.ErrUnknownGateway, exitUnprovenGateway},
	{enroll.ErrUnprovenGateway, exitUnprovenGateway},
	{enroll.ErrUnpinnedGateway, exitUnprovenGateway},
	{store.ErrInsecure, exitIdentityDir},
	{ownfile.ErrUnsafe, exitIdentityDir},
	{store.ErrInUse, exitIdentityDir},
	{store.ErrDamaged, exitIdentityDir},
	{errRevocationNotSent, exitRevocationNotSent},
	{errNotInstalled, exitNotInstalled},
	{store.ErrNotPaired, exitNotPaired},
	{errNotConnected, exitNotConnected},
	{errNotRunning, exitNotRunning},
	{local.ErrNoAgent, exitNotRunning},
	{errChecksFailed, exitChecksFailed},
	{fs.ErrPermission, exitPermission},
	{service.ErrNoManager, exitServiceManager},
	{service.ErrRefused, exitServiceManager},
}

// hints are the next step for the exit codes whose errors cannot name it.
var hints = map[int]string{
	exitUsage:      "See mooring-agent --help.",
	exitPermission: "Run it as the user of the agent, or as root (sudo).",
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
