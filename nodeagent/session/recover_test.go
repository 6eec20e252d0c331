package session_test

import (
	"testing"

	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/gatewaytest"
)

func TestARecoveryWithABundleThatDoesNotAdmitItsGatewayKeepsTheOldOne(t *testing.T) {
	g := gatewaytest.Start(t)
	foreign := gatewaytest.NewCA(t, "foreign").Bundle(t)
	g.Pairing.Bundle = func() identity.Bundle { return foreign }
	a := start(t, g, 0)
	g.Node.Next(t) // the certificate counts, and so does the old bundle
	if got, want := a.creds.Bundle().SHA256(), g.ServerCA.Bundle(t).SHA256(); got != want {
		t.Errorf("the bundle in use is %s, want %s", got, want)
	}
	if a.creds.Identity().Leaf().NotAfter.Equal(a.creds.Identity().Leaf().NotBefore) {
		t.Error("the certificate was not recovered")
	}
}
