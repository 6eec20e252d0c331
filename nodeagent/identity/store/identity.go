package store

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mooring-dev/mooring/internal/identity"
)

const (
	privateKeyBlock = "PRIVATE KEY"
	// keyMadePrefix begins an optional line before the key; readers of PEM skip it.
	keyMadePrefix = "Key made: "
)

// ErrNotPaired means that the directory holds no identity yet.
var ErrNotPaired = errors.New("this machine is not paired")

// Identity is the key and the certificate of this machine's Node.
type Identity struct {
	// Key never leaves the machine.
	Key *ecdsa.PrivateKey
	// Chain is leaf first.
	Chain []*x509.Certificate
	// ID is the one URI SAN of the leaf.
	ID identity.ID
	// KeyMade is the creation time of the key, whose age, not the certificate's, decides about
	// rotation.
	KeyMade time.Time
}

// NewIdentity joins a key with a chain that came from a gateway. It returns an error unless the
// leaf is for this key and names exactly one Node. It takes NotBefore of the leaf as the creation
// time of the key; set KeyMade if the key is older.
func NewIdentity(key *ecdsa.PrivateKey, chain []*x509.Certificate) (Identity, error) {
	if len(chain) == 0 {
		return Identity{}, errors.New("the certificate chain is empty")
	}
	leaf := chain[0]
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return Identity{}, errors.New("the certificate is for another key")
	}
	if len(leaf.URIs) != 1 {
		return Identity{}, fmt.Errorf("the certificate contains %d URIs, want one", len(leaf.URIs))
	}
	id, err := identity.ParseID(leaf.URIs[0].String())
	if err != nil {
		return Identity{}, fmt.Errorf("read certificate: %w", err)
	}
	return Identity{Key: key, Chain: chain, ID: id, KeyMade: leaf.NotBefore}, nil
}

// Leaf returns the machine's own certificate.
func (i Identity) Leaf() *x509.Certificate { return i.Chain[0] }

// TLSCertificate returns the identity as a tls.Certificate.
func (i Identity) TLSCertificate() tls.Certificate {
	return tls.Certificate{Certificate: identity.MarshalChain(i.Chain), PrivateKey: i.Key, Leaf: i.Leaf()}
}

// Identity reads the identity. It returns ErrNotPaired when there is none. A damaged file must not
// lose the Node, so Identity then reads the previous identity.
func (s *Store) Identity() (Identity, error) {
	content, err := s.read(identityFile)
	if err != nil {
		return Identity{}, err
	}
	if content == nil {
		return Identity{}, ErrNotPaired
	}
	current, err := parseIdentity(content)
	if err == nil {
		return current, nil
	}
	if old, oldErr := s.PreviousIdentity(); oldErr == nil {
		return old, nil
	}
	return Identity{}, fmt.Errorf("%w: %s: %w; restore it from a backup or pair again with another --identity-dir", ErrDamaged, identityFile, err)
}

// PreviousIdentity reads the previous identity. It returns ErrNotPaired when there is none.
func (s *Store) PreviousIdentity() (Identity, error) {
	content, err := s.read(identityFile + previousSuffix)
	if err != nil {
		return Identity{}, err
	}
	if content == nil {
		return Identity{}, ErrNotPaired
	}
	return parseIdentity(content)
}

// SaveIdentity makes i the identity of the machine and keeps the previous one beside it.
func (s *Store) SaveIdentity(i Identity) error {
	key, err := marshalKey(i.Key)
	if err != nil {
		return err
	}
	keyMade := keyMadePrefix + i.KeyMade.UTC().Format(time.RFC3339) + "\n"
	return s.replace(identityFile, slices.Concat([]byte(keyMade), key, identity.MarshalCertificatesPEM(i.Chain...)), true)
}

func parseIdentity(content []byte) (Identity, error) {
	key, rest, err := parseKey(content)
	if err != nil {
		return Identity{}, err
	}
	chain, err := identity.ParseChainPEM(rest)
	if err != nil {
		return Identity{}, err
	}
	parsed, err := NewIdentity(key, chain)
	if made, ok := parseKeyMade(content); ok {
		parsed.KeyMade = made
	}
	return parsed, err
}

// parseKeyMade reads the line before the key, which directories of older agents lack.
func parseKeyMade(content []byte) (time.Time, bool) {
	line, _, _ := bytes.Cut(content, []byte("\n"))
	text, found := bytes.CutPrefix(line, []byte(keyMadePrefix))
	made, err := time.Parse(time.RFC3339, string(text))
	return made, found && err == nil
}

func marshalKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateKeyBlock, Bytes: der}), nil
}

// parseKey reads the private key at the start of content and returns the rest of content.
func parseKey(content []byte) (*ecdsa.PrivateKey, []byte, error) {
	block, rest := pem.Decode(content)
	if block == nil || block.Type != privateKeyBlock {
		return nil, nil, errors.New("it does not begin with a private key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("parse private key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, identity.ErrUnsupportedKey
	}
	return key, rest, nil
}
