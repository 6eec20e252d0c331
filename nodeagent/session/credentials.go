package session

import (
	"fmt"
	"sync"

	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/store"
)

// Credentials are the identity and the trust in use, the same as on disk. They are
// for concurrent use.
type Credentials struct {
	store  *store.Store
	config store.Config

	mu       sync.Mutex
	identity store.Identity
	bundle   identity.Bundle
}

// LoadCredentials reads them; store.ErrNotPaired when there are none.
func LoadCredentials(s *store.Store) (*Credentials, error) {
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
	return &Credentials{store: s, config: config, identity: current, bundle: bundle}, nil
}

// Endpoint is host:port of the node listener.
func (c *Credentials) Endpoint() string { return c.config.NodeEndpoint }

// PairingEndpoint is host:port of the pairing listener, where an expired
// certificate is recovered.
func (c *Credentials) PairingEndpoint() string { return c.config.PairingEndpoint }

// Identity is the one in use.
func (c *Credentials) Identity() store.Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identity
}

// Bundle is the CA bundle of the gateways in use.
func (c *Credentials) Bundle() identity.Bundle {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bundle
}

// adopt takes a chain for the same key and id, stores it, and uses it.
func (c *Credentials) adopt(ders [][]byte) error {
	chain, err := identity.ParseChain(ders)
	if err != nil {
		return err
	}
	current := c.Identity()
	next, err := store.NewIdentity(current.Key, chain)
	if err != nil {
		return err
	}
	if next.ID != current.ID {
		return fmt.Errorf("the certificate is for %s, not for %s", next.ID, current.ID)
	}
	return c.replaceIdentity(next)
}

// replaceIdentity stores, then uses.
func (c *Credentials) replaceIdentity(next store.Identity) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.store.SaveIdentity(next); err != nil {
		return err
	}
	c.identity = next
	return nil
}

// replaceBundle stores, then uses; the same bundle again is not written.
func (c *Credentials) replaceBundle(next identity.Bundle) error {
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
