package store

import (
	"encoding/json"
	"fmt"

	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// Config holds the addresses of the gateways, as known from the pairing.
type Config struct {
	// NodeEndpoint is host:port of the node listener, or of several, separated by commas.
	NodeEndpoint string `json:"nodeEndpoint"`
	// PairingEndpoint is host:port of the pairing listener at which the machine paired.
	PairingEndpoint string `json:"pairingEndpoint"`
}

// Config reads the addresses. It returns an error when they are missing.
func (s *Store) Config() (Config, error) {
	var config Config
	content, err := s.read(configFile)
	if err != nil {
		return Config{}, err
	}
	if err := json.Unmarshal(content, &config); err != nil || config.NodeEndpoint == "" {
		return Config{}, fmt.Errorf("%w: %s does not name the node endpoint; pair again with another --identity-dir", ErrDamaged, configFile)
	}
	return config, nil
}

// SaveConfig replaces the addresses.
func (s *Store) SaveConfig(config Config) error { return s.replaceJSON(configFile, config) }

// Trust reads the CA bundle of the gateways. It returns an error when the bundle is missing.
func (s *Store) Trust() (identity.Bundle, error) {
	content, err := s.read(trustFile)
	if err != nil {
		return identity.Bundle{}, err
	}
	bundle, err := identity.ParseBundle(content)
	if err != nil {
		cure := "pair again with another --identity-dir"
		if s.hasPreviousTrust() {
			cure = "restore it from " + trustFile + previousSuffix + ", or " + cure
		}
		return identity.Bundle{}, fmt.Errorf("%w: %s: %w; %s", ErrDamaged, trustFile, err, cure)
	}
	return bundle, nil
}

// hasPreviousTrust reports whether the bundle before the last replacement can be restored.
func (s *Store) hasPreviousTrust() bool {
	content, err := s.read(trustFile + previousSuffix)
	if err != nil {
		return false
	}
	_, err = identity.ParseBundle(content)
	return err == nil
}

// SaveTrust replaces the CA bundle and keeps the previous one beside it.
func (s *Store) SaveTrust(bundle identity.Bundle) error {
	return s.replace(trustFile, bundle.PEM(), true)
}

func (s *Store) replaceJSON(name string, value any) error {
	content, err := jsontext.MarshalIndent(value, "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return s.replace(name, append(content, '\n'), false)
}
