package capability

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mooring-dev/mooring/internal/jsontext"
)

// IdentityFacts are the facts about its identity that a machine may report; none of them is
// secret.
type IdentityFacts struct {
	// ID is the SPIFFE ID.
	ID        string `json:"id"`
	Namespace string `json:"namespace"`
	Node      string `json:"node"`
	// PublicKeySHA256 is the pinned fingerprint of the public key.
	PublicKeySHA256   string `json:"publicKeySHA256"`
	CertificateSHA256 string `json:"certificateSHA256"`
	// CertificateNotBefore and CertificateNotAfter are the bounds of the validity of the
	// certificate in use.
	CertificateNotBefore time.Time `json:"certificateNotBefore"`
	CertificateNotAfter  time.Time `json:"certificateNotAfter"`
	TrustBundleSHA256    string    `json:"trustBundleSHA256"`
	JournalID            string    `json:"journalID"`
	BootID               string    `json:"bootID,omitempty"`
	AgentVersion         string    `json:"agentVersion"`
}

// SystemIdentity returns the identity that the machine itself reports.
type SystemIdentity struct {
	// Facts reads the identity in use.
	Facts func() (IdentityFacts, error)
}

// Name returns system.identity.
func (SystemIdentity) Name() string { return "system.identity" }

// Description returns a sentence for people.
func (SystemIdentity) Description() string {
	return "Returns the identity and certificate the agent uses."
}

// Schema returns a schema without parameters.
func (SystemIdentity) Schema() json.RawMessage { return emptyInputSchema }

// Mediation returns MediationNone: the output holds no secret.
func (SystemIdentity) Mediation() Mediation { return MediationNone }

// Run returns the facts.
func (s SystemIdentity) Run(context.Context, Request) (json.RawMessage, error) {
	facts, err := s.Facts()
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	return jsontext.Marshal(facts)
}
