// Package status is what a running agent tells about itself: the Board collects it, the
// socket status.sock in the run folder of the identity directory tells it.
package status

import (
	"sync"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/capability"
)

// Phase is how far the agent is.
type Phase string

// The phases of a running agent.
const (
	// Starting: it reads its files.
	Starting Phase = "Starting"
	// Pairing: it has no identity yet and exchanges its code or waits for an approver.
	Pairing Phase = "Pairing"
	// Connecting: it has no session with a gateway.
	Connecting Phase = "Connecting"
	// Connected: it has one.
	Connected Phase = "Connected"
	// Stopping: it was told to stop and finishes or journals what runs.
	Stopping Phase = "Stopping"
)

// Report is the agent at one moment. Times are the machine's, RFC 3339.
type Report struct {
	Phase   Phase     `json:"phase"`
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	// PairingRequest is NAMESPACE/NAME of the request that waits for a decision, and
	// PairingMessage the last message of the gateway about it; both empty outside of Pairing.
	PairingRequest string `json:"pairingRequest,omitempty"`
	PairingMessage string `json:"pairingMessage,omitempty"`
	// Gateway is host:port of the node listener; Session and Transport are those of the
	// session that is open, ConnectedSince when it was opened.
	Gateway        string    `json:"gateway,omitempty"`
	Session        string    `json:"session,omitempty"`
	Transport      string    `json:"transport,omitempty"`
	ConnectedSince time.Time `json:"connectedSince,omitzero"`
	// NextAttempt is when a gateway is dialled again.
	NextAttempt time.Time `json:"nextAttempt,omitzero"`
	// ClockSkewSeconds is how far the gateway's clock was ahead of the machine's; nil
	// before a gateway told its time.
	ClockSkewSeconds *float64 `json:"clockSkewSeconds,omitempty"`
	// LastError is why the last session or dial ended, for people; empty when it ended in
	// good order, or a session was opened since.
	LastError     string    `json:"lastError,omitempty"`
	LastErrorTime time.Time `json:"lastErrorTime,omitzero"`
	// GrantsTime is when the cluster told the grants of the capabilities, as a session was opened. It
	// may have changed them since. Zero before the first session.
	GrantsTime time.Time `json:"grantsTime,omitzero"`
	// Capabilities are those of this machine.
	Capabilities []Capability `json:"capabilities,omitempty"`
}

// Capability is one thing the machine can do.
type Capability struct {
	Name string `json:"name"`
	// Granted: the cluster let it be used at GrantsTime; false before the first session.
	Granted bool `json:"granted"`
	// Reason says why it is unavailable on this machine; empty when it is available.
	Reason string `json:"reason,omitempty"`
}

// Board is the state of the agent. It is for concurrent use; its methods are those of
// session.Observer.
type Board struct {
	now      func() time.Time
	registry *capability.Registry

	mu      sync.Mutex
	report  Report
	granted map[string]bool
}

// NewBoard begins with an agent that starts; report holds what stays as it is.
func NewBoard(now func() time.Time, report Report, registry *capability.Registry) *Board {
	report.Phase, report.Started = Starting, now().UTC()
	return &Board{now: now, registry: registry, report: report}
}

// Paired takes the address of the node listener: from now on sessions are tried.
func (b *Board) Paired(gateway string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.report.Phase, b.report.Gateway = Connecting, gateway
	b.report.PairingRequest, b.report.PairingMessage = "", ""
}

// Pairing takes that the machine has no identity yet. request and message are empty until
// a pairing request exists and the gateway sent a message about it.
func (b *Board) Pairing(request, message string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.report.Phase != Stopping {
		b.report.Phase = Pairing
	}
	b.report.PairingRequest, b.report.PairingMessage = request, message
}

// Registered takes what the cluster grants.
func (b *Board) Registered(granted []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.report.GrantsTime = b.now().UTC()
	b.granted = map[string]bool{}
	for _, name := range granted {
		b.granted[name] = true
	}
}

// Opened takes a session; skew is how far the gateway's clock was ahead.
func (b *Board) Opened(session, transport string, skew time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &b.report
	if r.Phase != Stopping {
		r.Phase = Connected
	}
	seconds := skew.Seconds()
	r.Session, r.Transport, r.ClockSkewSeconds = session, transport, &seconds
	r.ConnectedSince, r.NextAttempt = b.now().UTC(), time.Time{}
	r.LastError, r.LastErrorTime = "", time.Time{}
}

// Closed takes the end of a session, or of an attempt at one; problem is for people, empty
// when the end was in good order. Another attempt comes after retry.
func (b *Board) Closed(problem string, retry time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &b.report
	b.disconnect()
	r.NextAttempt = b.now().Add(retry).UTC()
	if r.LastError = problem; problem != "" {
		r.LastErrorTime = b.now().UTC()
	}
}

// Stopping takes that the agent was told to stop.
func (b *Board) Stopping() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.disconnect()
	b.report.Phase, b.report.NextAttempt = Stopping, time.Time{}
}

func (b *Board) disconnect() {
	r := &b.report
	if r.Phase == Connected {
		r.Phase = Connecting
	}
	r.Session, r.Transport, r.ConnectedSince = "", "", time.Time{}
}

// Report is the agent now.
func (b *Board) Report() Report {
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
