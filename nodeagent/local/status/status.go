// Package status reports the state of a running agent. The Tracker collects it, and the socket
// status.sock in the run folder of the identity directory serves it.
package status

import (
	"sync"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
)

// Phase is the stage of the agent between its start and its stop.
type Phase string

// The phases of a running agent.
const (
	// Starting means that the agent reads its files.
	Starting Phase = "Starting"
	// Pairing means that the agent has no identity yet. It exchanges its code or waits for an
	// approver.
	Pairing Phase = "Pairing"
	// Connecting means that the agent has no session with a gateway.
	Connecting Phase = "Connecting"
	// Connected means that the agent has a session with a gateway.
	Connected Phase = "Connected"
	// Stopping means that the agent was asked to stop and finishes or journals its dispatches.
	Stopping Phase = "Stopping"
)

// Report is a snapshot of the agent. Times are the machine's, RFC 3339.
type Report struct {
	Phase   Phase     `json:"phase"`
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	// PairingRequest is NAMESPACE/NAME of the request that waits for a decision. PairingMessage is
	// the last message of the gateway about it. Both are empty in other phases than Pairing.
	PairingRequest string `json:"pairingRequest,omitempty"`
	PairingMessage string `json:"pairingMessage,omitempty"`
	// Gateway is host:port of the node listener. Session and Transport describe the open session,
	// and ConnectedSince is the time at which it was opened.
	Gateway        string    `json:"gateway,omitempty"`
	Session        string    `json:"session,omitempty"`
	Transport      string    `json:"transport,omitempty"`
	ConnectedSince time.Time `json:"connectedSince,omitzero"`
	// NextAttempt is the time of the next dial of a gateway.
	NextAttempt time.Time `json:"nextAttempt,omitzero"`
	// ClockSkewSeconds is the lead of the gateway's clock over the machine's clock; nil before a
	// gateway sent its time.
	ClockSkewSeconds *float64 `json:"clockSkewSeconds,omitempty"`
	// LastError is the reason for the end of the last session or dial, for people. It is empty when
	// that session ended without an error, or another session was opened since.
	LastError     string    `json:"lastError,omitempty"`
	LastErrorTime time.Time `json:"lastErrorTime,omitzero"`
	// LastErrorReason is the reason for machines of that error, such as NODE_REVOKED. It is empty
	// when the gateway did not send one.
	LastErrorReason string `json:"lastErrorReason,omitempty"`
	// GrantsTime is the time at which the cluster sent the grants of the capabilities, at the
	// opening of a session. The cluster may have changed them since. Zero before the first session.
	GrantsTime time.Time `json:"grantsTime,omitzero"`
	// Capabilities are the capabilities of this machine.
	Capabilities []Capability `json:"capabilities,omitempty"`
}

// Capability is the state of one capability of the machine.
type Capability struct {
	Name string `json:"name"`
	// Granted is true if the cluster allowed its use at GrantsTime; false before the first session.
	Granted bool `json:"granted"`
	// Reason is the reason why it is unavailable on this machine; empty when it is available.
	Reason string `json:"reason,omitempty"`
}

// Tracker holds the state of the agent. It is safe for concurrent use and implements
// session.Observer.
type Tracker struct {
	now      func() time.Time
	registry *capability.Registry

	mu      sync.Mutex
	report  Report
	granted map[string]bool
}

// NewTracker returns the Tracker of an agent that starts. report holds the constant fields.
func NewTracker(now func() time.Time, report Report, registry *capability.Registry) *Tracker {
	report.Phase, report.Started = Starting, now().UTC()
	return &Tracker{now: now, registry: registry, report: report}
}

// MachinePaired records the address of the node listener. The agent tries to open sessions from now
// on.
func (b *Tracker) MachinePaired(gateway string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.report.Phase != Stopping {
		b.report.Phase = Connecting
	}
	b.report.Gateway = gateway
	b.report.PairingRequest, b.report.PairingMessage = "", ""
}

// PairingUpdated records that the machine has no identity yet. Both request and message are empty
// until a pairing request exists and the gateway has sent a message about it.
func (b *Tracker) PairingUpdated(request, message string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.report.Phase != Stopping {
		b.report.Phase = Pairing
	}
	b.report.PairingRequest, b.report.PairingMessage = request, message
}

// CapabilitiesGranted records the capabilities that the cluster grants.
func (b *Tracker) CapabilitiesGranted(granted []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.report.GrantsTime = b.now().UTC()
	b.granted = map[string]bool{}
	for _, name := range granted {
		b.granted[name] = true
	}
}

// SessionOpened records an open session; skew is the lead of the gateway's clock.
func (b *Tracker) SessionOpened(session, transport string, skew time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &b.report
	if r.Phase != Stopping {
		r.Phase = Connected
	}
	seconds := skew.Seconds()
	r.Session, r.Transport, r.ClockSkewSeconds = session, transport, &seconds
	r.ConnectedSince, r.NextAttempt = b.now().UTC(), time.Time{}
	r.LastError, r.LastErrorReason, r.LastErrorTime = "", "", time.Time{}
}

// SessionClosed records the end of a session, or of an attempt at one. problem is for people and
// empty for an end without an error. reason is the reason of the gateway's denial, if it sent one.
// The next attempt comes after retry.
func (b *Tracker) SessionClosed(problem, reason string, retry time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &b.report
	b.disconnect()
	r.NextAttempt = b.now().Add(retry).UTC()
	r.LastErrorReason = reason
	if r.LastError = problem; problem != "" {
		r.LastErrorTime = b.now().UTC()
	}
}

// AgentStopping records that the agent was asked to stop.
func (b *Tracker) AgentStopping() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.disconnect()
	b.report.Phase, b.report.NextAttempt = Stopping, time.Time{}
}

func (b *Tracker) disconnect() {
	r := &b.report
	if r.Phase == Connected {
		r.Phase = Connecting
	}
	r.Session, r.Transport, r.ConnectedSince = "", "", time.Time{}
}

// Report returns the present state of the agent.
func (b *Tracker) Report() Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	report := b.report
	all, _ := b.registry.All()
	for _, c := range all {
		report.Capabilities = append(report.Capabilities,
			Capability{Name: c.Name(), Granted: b.granted[c.Name()], Reason: c.Unavailable()})
	}
	return report
}
