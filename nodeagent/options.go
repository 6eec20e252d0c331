package nodeagent

import (
	"io"
	"log/slog"
	"time"

	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/nodeagent/identity/enroll"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/transport"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

// Options are the options of Run and Pair.
type Options struct {
	// Dir is the identity directory.
	Dir string
	// Pairing is host:port of the pairing listener, and Code is the pairing code. Invitation, the
	// content of a QR code, replaces both. All three may be empty on a paired machine.
	Pairing    string
	Code       *pairing.Code
	Invitation *pairing.Invitation
	// ServiceAccount pairs an agent that runs in a pod. It is used with Pairing and replaces the
	// code.
	ServiceAccount *enroll.ServiceAccount
	// NodeName is the requested name of the Node, a DNS label.
	NodeName string
	// RotateKeyEvery is the age of the key at which a renewal also makes a new key; 0 means never.
	RotateKeyEvery time.Duration
	// RenewPause is renew.Options.MinPause; 0 is 10 s.
	RenewPause time.Duration
	// Dialer opens the connections to gateways. The default of its Log is Log.
	Dialer link.Dialer
	// Transport selects the transport of the sessions; empty means transport.Auto.
	Transport transport.Kind
	// StreamProbe is session.Options.StreamProbe; 0 is transport.DefaultStreamProbe.
	StreamProbe time.Duration
	// CapabilitiesDir is the folder of the user's own capabilities; empty means the folder
	// capabilities.d of Dir.
	CapabilitiesDir string
	// MediationPolicy is the path of the policy file; empty means mediation.yaml in Dir.
	MediationPolicy string
	// Desktop selects whether the desktop capabilities are declared. DesktopOn declares them even
	// where no program can open anything.
	Desktop DesktopMode
	// Extra are capabilities in addition to the built-in ones.
	Extra []capability.Capability
	// Terminal is the terminal where a person is asked; nil means none. Run closes it.
	Terminal io.ReadWriteCloser
	// Now returns the machine's time; the default is time.Now.
	Now func() time.Time
	// Out receives the lines for people.
	Out io.Writer
	Log *slog.Logger
}

// DesktopMode selects whether desktop.open_url and desktop.open_path are declared.
type DesktopMode string

// The desktop modes.
const (
	// DesktopAuto declares both capabilities only where they can run. A server would otherwise be
	// reported as degraded for lack of a display that it will never have.
	DesktopAuto DesktopMode = "auto"
	DesktopOn   DesktopMode = "on"
	DesktopOff  DesktopMode = "off"
)

// setDefaults fills in the options that every part of the agent uses.
func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dialer.Log == nil {
		o.Dialer.Log = o.Log
	}
}
