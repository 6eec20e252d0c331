package nodeagent

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"time"

	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/version"
	"github.com/mooring-dev/mooring/nodeagent/hostinfo"
	"github.com/mooring-dev/mooring/nodeagent/identity/enroll"
	"github.com/mooring-dev/mooring/nodeagent/identity/renew"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
)

// defaultRenewPause is the default of Options.RenewPause.
const defaultRenewPause = 10 * time.Second

// pair leaves an identity in the store or returns an error.
func (a *agent) pair(ctx context.Context) error {
	switch current, err := a.store.Identity(); {
	case err == nil:
		if a.Code != nil || a.Invitation != nil {
			a.console.Print("Already paired as node %s/%s; the pairing code is not used", current.ID.Namespace, current.ID.Node)
		}
		return a.store.DropPending()
	case !errors.Is(err, store.ErrNotPaired):
		return err
	}
	var names []string
	all, _ := a.registry.All()
	for _, c := range all {
		names = append(names, c.Name())
	}
	return enroll.Run(ctx, enroll.Options{
		Store: a.store, Endpoint: a.Pairing, Code: a.Code, Invitation: a.Invitation, ServiceAccount: a.ServiceAccount,
		Dialer: a.Dialer, NodeName: a.NodeName, System: a.system, Capabilities: names,
		Console: a.console, Log: a.Log, Now: a.Now, Rand: rand.Reader, NewBackoff: newReconnectBackoff, Observe: a.observePairing(),
	})
}

// observePairing returns the function that shows the pairing in the agent's status; it is nil for
// Pair, which serves no status.
func (a *agent) observePairing() func(request, message string) {
	if a.tracker == nil {
		return nil
	}
	return a.tracker.PairingUpdated
}

// newRenewer returns the Renewer of the credentials.
func (a *agent) newRenewer() *renew.Renewer {
	return renew.New(renew.Options{
		Credentials: a.credentials, Dialer: a.Dialer, Now: a.Now, Rand: rand.Reader, Jitter: mathrand.Float64,
		MinPause: cmp.Or(a.RenewPause, defaultRenewPause), RotateKeyEvery: a.RotateKeyEvery, Log: a.Log,
	})
}

// identityFacts returns the identity and certificate in use, for system.identity.
func (a *agent) identityFacts() (capability.IdentityFacts, error) {
	if a.credentials == nil || a.journal == nil {
		return capability.IdentityFacts{}, errors.New("this machine is not paired")
	}
	current := a.credentials.Identity()
	leaf := current.Leaf()
	return capability.IdentityFacts{
		ID:                   current.ID.URI(),
		Namespace:            current.ID.Namespace,
		Node:                 current.ID.Node,
		PublicKeySHA256:      identity.FingerprintSPKIDER(leaf.RawSubjectPublicKeyInfo),
		CertificateSHA256:    identity.FingerprintCertificate(leaf),
		CertificateNotBefore: leaf.NotBefore.UTC(),
		CertificateNotAfter:  leaf.NotAfter.UTC(),
		TrustBundleSHA256:    a.credentials.Bundle().SHA256(),
		JournalID:            a.journal.ID(),
		BootID:               hostinfo.BootID(context.Background()),
		AgentVersion:         version.Version,
	}, nil
}
