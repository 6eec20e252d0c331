package cli

import (
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/mooring-dev/mooring/nodeagent"
	"github.com/mooring-dev/mooring/nodeagent/session"
	"github.com/mooring-dev/mooring/nodeagent/store"
)

// addMachine adds the flags about this machine and what it may do.
func (f *flags) addMachine(set *pflag.FlagSet) {
	set.StringVar(&f.transport, "transport", envOr("MOORING_TRANSPORT", string(session.TransportAuto)),
		"`HOW` sessions are carried: stream, poll (for networks that break streams) or auto (streams until they break repeatedly)")
	set.StringVar(&f.capabilitiesDir, "capabilities-dir", os.Getenv("MOORING_CAPABILITIES_DIR"),
		"`DIR` with the files of this machine's own capabilities (default: "+store.CapabilitiesFolder+" in the identity directory)")
	set.StringVar(&f.mediationPolicy, "mediation-policy", os.Getenv("MOORING_MEDIATION_POLICY"),
		"`FILE` that says what is asked, allowed and denied on this machine (default: mediation.yaml in the identity directory)")
	set.StringVar(&f.desktop, "desktop", envOr("MOORING_DESKTOP", string(nodeagent.DesktopAuto)),
		"`WHETHER` desktop.open_url and desktop.open_path are offered: on, off, or auto (where there is a display)")
	set.StringVar(&f.prompt, "prompt", envOr("MOORING_PROMPT", "auto"),
		"`WHETHER` local mediation asks at this terminal: auto (when the agent has it in the foreground) or never")
}

// readMachine checks them.
func (f *flags) readMachine(o *nodeagent.Options) (err error) {
	if o.Transport, err = session.ParseTransport(f.transport); err != nil {
		return fmt.Errorf("--transport: %w", err)
	}
	switch o.Desktop = nodeagent.DesktopMode(f.desktop); o.Desktop {
	case nodeagent.DesktopAuto, nodeagent.DesktopOn, nodeagent.DesktopOff:
	default:
		return fmt.Errorf("--desktop %q is none of auto, on, off", f.desktop)
	}
	if f.prompt != "auto" && f.prompt != "never" {
		return fmt.Errorf("--prompt %q is neither auto nor never", f.prompt)
	}
	o.CapabilitiesDir, o.MediationPolicy = f.capabilitiesDir, f.mediationPolicy
	return nil
}
