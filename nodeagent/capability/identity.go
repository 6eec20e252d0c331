package capability

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mooring-dev/mooring/internal/jsontext"
)

// IdentityFacts is what a machine may tell about its identity; nothing in it is secret.
type IdentityFacts struct {
	// ID is the SPIFFE id.
	ID        string `json:"id"`
	Namespace string `json:"namespace"`
	Node      string `json:"node"`
	// PublicKeySHA256 is the pin.
	PublicKeySHA256   string `json:"publicKeySHA256"`
	CertificateSHA256 string `json:"certificateSHA256"`
	// CertificateNotBefore and CertificateNotAfter bound the certificate in use.
	CertificateNotBefore time.Time `json:"certificateNotBefore"`
	CertificateNotAfter  time.Time `json:"certificateNotAfter"`
	TrustBundleSHA256    string    `json:"trustBundleSHA256"`
	JournalID            string    `json:"journalID"`
	BootID               string    `json:"bootID,omitempty"`
	AgentVersion         string    `json:"agentVersion"`
}

// SystemIdentity tells who the machine is by its own account.
type SystemIdentity struct {
	// Facts reads the identity in use.
	Facts func() (IdentityFacts, error)
}

// Name is system.identity.
func (SystemIdentity) Name() string { return "system.identity" }

// Description is for people.
func (SystemIdentity) Description() string {
	return "Returns the identity and certificate the agent uses."
}

// Schema allows no parameters.
func (SystemIdentity) Schema() json.RawMessage { return noInput }

// Mediation is not needed: nothing secret is told.
func (SystemIdentity) Mediation() Mediation { return None }

// Run reads the facts.
func (s SystemIdentity) Run(context.Context, Request) (json.RawMessage, error) {
	facts, err := s.Facts()
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	return jsontext.Marshal(facts)
}
