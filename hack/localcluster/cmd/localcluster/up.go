package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/build"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/control"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/state"
)

// up is the command that starts a cluster.
type up struct {
	place       *locationFlags
	command     *cobra.Command
	fsync       bool
	audit       bool
	foreground  bool
	untilStdin  bool
	buildOnly   bool
	supervisor  bool // this process is the supervisor in the background
	address     string
	output      string
	timeout     time.Duration
	builder     build.Builder
	programs    build.Programs
	dir         state.Dir
	printedStep int
}

func newUpCommand(place *locationFlags) *cobra.Command {
	u := &up{place: place}
	command := &cobra.Command{
		Use:   "up",
		Short: "Bring the cluster up and wait until it is ready",
		Long: `Builds what is missing, starts the cluster in the background and returns when all of
it is ready. Where one already runs, this says so and changes nothing. What an earlier
run left half dead is cleaned up, and its data are used again.

A component that dies is started again. With --foreground the command stays, and
SIGINT or SIGTERM stop everything; with --until-stdin-closes it stops as well when its
standard input ends, so a parent that is killed leaves nothing behind.`,
		Example: `  localcluster up
  localcluster up --state /tmp/other --audit --output json
  localcluster up --until-stdin-closes --output json < pipe`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			u.command = command
			return u.run(command.Context())
		},
	}
	flags := command.Flags()
	flags.BoolVar(&u.fsync, "fsync", false, "let etcd sync to disk: slower, and survives a power cut")
	flags.BoolVar(&u.audit, "audit", false, "write an audit log (level Metadata) to STATE/logs/audit.log")
	flags.BoolVar(&u.foreground, "foreground", false, "stay, and stop everything on SIGINT or SIGTERM")
	flags.BoolVar(&u.untilStdin, "until-stdin-closes", false, "stop everything at the end of standard input; implies --foreground")
	flags.BoolVar(&u.buildOnly, "build-only", false, "build missing programs and start nothing")
	flags.StringVar(&u.address, "advertise-address", state.Loopback, "IP address that the apiserver binds to and advertises")
	flags.StringVar(&u.output, "output", "text", "text, or json: one line on standard output when ready")
	flags.DurationVar(&u.timeout, "timeout", 2*time.Minute, "how long to wait until everything is ready")
	flags.BoolVar(&u.supervisor, "supervisor", false, "")
	_ = flags.MarkHidden("supervisor")
	return command
}

func (u *up) run(ctx context.Context) (err error) {
	if err := u.check(); err != nil {
		return err
	}
	if u.builder, err = u.place.builder(u.command.ErrOrStderr()); err != nil {
		return err
	}
	if u.programs, err = ensurePrograms(ctx, u.builder); err != nil || u.buildOnly {
		return err
	}
	located, err := u.place.dir()
	if err != nil {
		return err
	}
	if u.dir, err = state.Open(string(located)); err != nil {
		return err
	}
	if u.foreground {
		return u.supervise(ctx)
	}
	return u.background(ctx)
}

func (u *up) check() error {
	u.foreground = u.foreground || u.untilStdin || u.supervisor
	if u.output != "text" && u.output != "json" {
		return fmt.Errorf("--output %q: it is text or json", u.output)
	}
	if ip := net.ParseIP(u.address); ip == nil || ip.IsUnspecified() {
		return fmt.Errorf("--advertise-address %q: give one IP address of this machine", u.address)
	}
	if u.timeout <= 0 {
		return errors.New("--timeout: give a time above zero, like 2m")
	}
	return nil
}

// checkSameOptions compares the given flags with the options of a running cluster. It returns an error
// for a flag that differs, because ignoring the flag would be wrong.
func (u *up) checkSameOptions(status control.Status) error {
	flags := u.command.Flags()
	differs := ""
	switch {
	case flags.Changed("fsync") && u.fsync != status.Fsync:
		differs = "fsync"
	case flags.Changed("audit") && u.audit != (status.Audit != ""):
		differs = "audit"
	case flags.Changed("advertise-address") && u.address != status.Address:
		differs = "advertise-address"
	default:
		return nil
	}
	return fmt.Errorf("the cluster already runs with another --%s: run localcluster down first, or use another --state", differs)
}
