// Package credentials holds the identity and the CA bundle with which this machine connects.
package credentials

import (
	"crypto/ecdsa"
	"fmt"
	"sync"
	"time"

	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
)

// Credentials hold the identity and the CA bundle in use, the same as on disk (but see SwitchKey).
// They are safe for concurrent use.
type Credentials struct {
	store  *store.Store
	config store.Config

	mu       sync.Mutex
	identity store.Identity
	bundle   identity.Bundle
	// alternate is the identity of the same Node with another key, from before a rotation. It is nil
	// when the last change was no rotation.
	alternate *store.Identity
	// unsaved is true while alternate, and not identity, is on disk.
	unsaved bool
}

// Load reads the credentials from the store. It returns store.ErrNotPaired when there are none.
func Load(s *store.Store) (*Credentials, error) {
	current, err := s.Identity()
	if err != nil {
		return nil, err
	}
	bundle, err := s.Trust()
	if err != nil {
		return nil, err
	}
	config, err := s.Config()
	if err != nil {
		return nil, err
	}
	c := &Credentials{store: s, config: config, identity: current, bundle: bundle}
	// An unreadable previous identity counts as none, because it is only a fallback.
	if previous, err := s.PreviousIdentity(); err == nil && sameNodeOtherKey(previous, current) {
		c.alternate = &previous
	}
	return c, nil
}

// Endpoint returns host:port of the node listener, or of several, separated by commas.
func (c *Credentials) Endpoint() string { return c.config.NodeEndpoint }

// PairingEndpoint returns host:port of the pairing listener, which recovers an expired certificate.
func (c *Credentials) PairingEndpoint() string { return c.config.PairingEndpoint }

// Identity returns the identity in use.
func (c *Credentials) Identity() store.Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identity
}

// Expired reports whether the certificate has expired at the time now, for example while the machine
// slept.
func (c *Credentials) Expired(now time.Time) bool {
	return now.After(c.Identity().Leaf().NotAfter)
}

// Bundle returns the CA bundle of the gateways in use.
func (c *Credentials) Bundle() identity.Bundle {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bundle
}

// ReplaceCertificate stores and then uses a chain for the same id and the key, which was created at
// keyMade.
func (c *Credentials) ReplaceCertificate(key *ecdsa.PrivateKey, keyMade time.Time, ders [][]byte) error {
	chain, err := identity.ParseChain(ders)
	if err != nil {
		return err
	}
	current := c.Identity()
	next, err := store.NewIdentity(key, chain)
	if err != nil {
		return err
	}
	if next.ID != current.ID {
		return fmt.Errorf("the certificate is for %s, not for %s", next.ID, current.ID)
	}
	next.KeyMade = keyMade
	return c.replaceIdentity(next)
}

// replaceIdentity stores an identity and then uses it.
func (c *Credentials) replaceIdentity(next store.Identity) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.store.SaveIdentity(next); err != nil {
		return err
	}
	before := c.identity
	if c.alternate, c.unsaved = nil, false; sameNodeOtherKey(before, next) {
		c.alternate = &before
	}
	c.identity = next
	return nil
}

// SwitchKey changes to the other key when the gateway refuses the key in use, and reports whether
// there is another one. A Node can lose a new key when its cluster is restored from a backup. A
// second call changes back. Nothing is stored before a gateway has accepted the key; see
// SaveAcceptedKey.
func (c *Credentials) SwitchKey() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.alternate == nil {
		return false
	}
	c.identity, *c.alternate = *c.alternate, c.identity
	c.unsaved = !c.unsaved
	return true
}

// SaveAcceptedKey stores the identity that a gateway has accepted, unless it is already on disk.
func (c *Credentials) SaveAcceptedKey() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.unsaved {
		return nil
	}
	if err := c.store.SaveIdentity(c.identity); err != nil {
		return err
	}
	c.unsaved = false
	return nil
}

// sameNodeOtherKey reports whether two identities are the same Node's with different keys.
func sameNodeOtherKey(a, b store.Identity) bool { return a.ID == b.ID && !a.Key.Equal(b.Key) }

// ReplaceBundle stores a bundle and then uses it. It does not write the bundle that is in use.
func (c *Credentials) ReplaceBundle(next identity.Bundle) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if next.SHA256() == c.bundle.SHA256() {
		return nil
	}
	if err := c.store.SaveTrust(next); err != nil {
		return err
	}
	c.bundle = next
	return nil
}
