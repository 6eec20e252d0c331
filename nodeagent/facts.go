package nodeagent

import (
	"context"
	"errors"

	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/version"
	"github.com/mooring-dev/mooring/nodeagent/hostinfo"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
)

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
