// Package enroll pairs this machine: it proves to a gateway that a person handed it a code, waits
// until a person approves, and stores the certificate.
//
// The order of the steps is essential. The key is on disk before its fingerprint is sent to any
// server. A try is counted on disk before a confirmation is sent. No answer of a gateway is stored
// before the gateway's own confirmation verifies.
package enroll

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"io"
	"log/slog"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/nodeagent/console"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

// maxTries is the number of confirmations that are ever sent for one code: each lets a false
// gateway test one PIN.
const maxTries = 3

// Options are the options of a pairing. All fields but Endpoint, Code, Invitation, ServiceAccount,
// Dialer and Observe are required. Without Code, Invitation and ServiceAccount an unfinished pairing
// is resumed.
type Options struct {
	Store *store.Store
	// Endpoint is host:port of the pairing listener; empty resumes at the last one.
	Endpoint string
	// Code is the code that the person typed.
	Code *pairing.Code
	// Invitation is the content of a QR code, used instead of Endpoint and Code. The CA that it
	// pins is the only root, and nothing is sent to any other server.
	Invitation *pairing.Invitation
	// ServiceAccount is used instead of a code by an agent that runs in a pod.
	ServiceAccount *ServiceAccount
	// Dialer opens the connections to the gateway.
	Dialer link.Dialer
	// NodeName is the requested name of the Node, a DNS label.
	NodeName string
	// System and Capabilities are shown to the approver.
	System       *gatewayv1.SystemInfo
	Capabilities []string
	// Observe receives the pairing request (NAMESPACE/NAME, empty before there is one) and the last
	// message of the gateway about it; nil means no observer.
	Observe func(request, message string)
	// Console prints the lines for the person at the machine.
	Console *console.Console
	Log     *slog.Logger
	Now     func() time.Time
	Rand    io.Reader
	// NewBackoff returns the delays between tries.
	NewBackoff func() *backoff.Backoff
}

// Run pairs the machine or resumes an unfinished pairing; when it returns nil, the identity is in
// the store. Its errors wrap the errors of this package, or are the cause of ctx.
func Run(ctx context.Context, o Options) error {
	p := &pairer{Options: o, code: newPairingCode(o)}
	if o.Invitation != nil {
		p.Endpoint = o.Invitation.Gateway
	}
	if err := p.loadPending(); err != nil {
		return err
	}
	p.Console.Print("Verification code: %s", pairing.VerificationCode(p.pin))
	p.observe("", "")
	if p.needsExchange() {
		if err := p.repeatExchange(ctx); err != nil {
			return err
		}
	}
	return p.awaitApproval(ctx)
}

// pairer is one run of a pairing.
type pairer struct {
	Options
	code    *pairingCode // nil when only resuming
	pending *store.Pending
	pin     string // fingerprint of the public key
	// lastRefusal is the reason why the last exchange failed, for people.
	lastRefusal string
}

func (p *pairer) observe(request, message string) {
	if p.Observe != nil {
		p.Observe(request, message)
	}
}

// loadPending reads the unfinished pairing or begins one with a new key.
func (p *pairer) loadPending() error {
	pending, err := p.Store.Pending()
	if err != nil {
		return err
	}
	if pending == nil {
		if p.code == nil && p.ServiceAccount == nil {
			return ErrNoCode
		}
		if pending, err = p.newPending(); err != nil {
			return err
		}
	}
	p.pending = pending
	if p.pin, err = identity.FingerprintSPKI(&pending.Key.PublicKey); err != nil {
		return fmt.Errorf("fingerprint of the device key: %w", err)
	}
	return nil
}

func (p *pairer) newPending() (*store.Pending, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), p.Rand)
	if err != nil {
		return nil, fmt.Errorf("make device key: %w", err)
	}
	pending := &store.Pending{Key: key, Tries: map[string]int{}}
	if err := p.Store.SavePending(pending); err != nil {
		return nil, fmt.Errorf("store device key: %w", err)
	}
	return pending, nil
}

// needsExchange reports whether there is no request yet to wait for: a request of this code, or of
// any code when none was given.
func (p *pairer) needsExchange() bool {
	request := p.pending.Request
	return request == nil || (p.code != nil && p.code.lookupID != request.LookupID)
}
