package store

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mooring-dev/mooring/internal/identity"
)

// Pending is an unfinished pairing. Its key stays the same over every retry, and so does the
// verification code that a person compares.
type Pending struct {
	Key *ecdsa.PrivateKey
	// Tries counts, per lookup id, the confirmations that were sent or were about to be sent.
	Tries map[string]int
	// Request is set once a gateway has proven that it knows the code.
	Request *Request
}

// Request is the answer of a gateway that has proven its identity.
type Request struct {
	// LookupID is the first part of the code that was used.
	LookupID string `json:"lookupID"`
	// PairingEndpoint is host:port of the pairing listener that was used.
	PairingEndpoint string `json:"pairingEndpoint"`
	// Namespace and Name identify the PairingRequest.
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// NodeEndpoint is host:port of the node listener, or of several, separated by commas.
	NodeEndpoint string `json:"nodeEndpoint"`
	// Bundle is the CA bundle of the gateways.
	Bundle identity.Bundle `json:"-"`
	// Expires is the end of the request when no person decides before.
	Expires time.Time `json:"expires"`
}

// pendingJSON is the format of Pending on disk.
type pendingJSON struct {
	PrivateKey string         `json:"privateKey"`
	Tries      map[string]int `json:"tries"`
	Request    *Request       `json:"request,omitempty"`
	Bundle     string         `json:"bundle,omitempty"`
}

// Pending reads the unfinished pairing. It returns nil when there is none.
func (s *Store) Pending() (*Pending, error) {
	content, err := s.read(pairingFile)
	if err != nil || content == nil {
		return nil, err
	}
	pending, err := parsePending(content)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w; remove it and pair with a new code", ErrDamaged, pairingFile, err)
	}
	return pending, nil
}

// SavePending replaces the unfinished pairing.
func (s *Store) SavePending(pending *Pending) error {
	key, err := marshalKey(pending.Key)
	if err != nil {
		return err
	}
	out := pendingJSON{PrivateKey: string(key), Tries: pending.Tries, Request: pending.Request}
	if pending.Request != nil {
		out.Bundle = string(pending.Request.Bundle.PEM())
	}
	return s.replaceJSON(pairingFile, out)
}

// FinishPairing turns the unfinished pairing into the identity. It writes the identity last: until
// the identity exists, a restart resumes the pairing.
func (s *Store) FinishPairing(i Identity, bundle identity.Bundle, config Config) error {
	if err := s.SaveTrust(bundle); err != nil {
		return err
	}
	if err := s.SaveConfig(config); err != nil {
		return err
	}
	if err := s.SaveIdentity(i); err != nil {
		return err
	}
	return s.DropPending()
}

// DropPending removes the unfinished pairing, its key included.
func (s *Store) DropPending() error { return s.remove(pairingFile) }

func parsePending(content []byte) (*Pending, error) {
	var in pendingJSON
	if err := json.Unmarshal(content, &in); err != nil {
		return nil, err
	}
	key, _, err := parseKey([]byte(in.PrivateKey))
	if err != nil {
		return nil, err
	}
	pending := &Pending{Key: key, Tries: in.Tries, Request: in.Request}
	if pending.Tries == nil {
		pending.Tries = map[string]int{}
	}
	if in.Request != nil {
		if in.Request.Bundle, err = identity.ParseBundle([]byte(in.Bundle)); err != nil {
			return nil, err
		}
	}
	return pending, nil
}
