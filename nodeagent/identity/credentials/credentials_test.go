package credentials_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/identity/credentials"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// machine is the directory of a paired machine.
type machine struct {
	*store.Store
	server, device *fakegateway.CA
}

func newMachine(t *testing.T) machine {
	t.Helper()
	s, err := store.Open(t.TempDir() + "/id")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	m := machine{Store: s, server: fakegateway.NewCA(t, "server"), device: fakegateway.NewCA(t, "device")}
	key := fakegateway.NewKey(t)
	id, err := store.NewIdentity(key, []*x509.Certificate{m.issue(t, "box", key)})
	if err == nil {
		err = s.FinishPairing(id, m.server.Bundle(t), store.Config{NodeEndpoint: "node.example:7444", PairingEndpoint: "pairing.example:7443"})
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m machine) issue(t *testing.T, node string, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	return m.device.IssueDevice(t, fakegateway.ID(node), &key.PublicKey, time.Hour)
}

func (m machine) load(t *testing.T) *credentials.Credentials {
	t.Helper()
	c, err := credentials.Load(m.Store)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (m machine) storedKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	stored, err := m.Identity()
	if err != nil {
		t.Fatal(err)
	}
	return stored.Key
}

func TestACertificateForAnotherNodeIsNotStored(t *testing.T) {
	m := newMachine(t)
	c := m.load(t)
	before := c.Identity()
	if err := c.ReplaceCertificate(before.Key, before.KeyMade, [][]byte{m.issue(t, "other", before.Key).Raw}); err == nil {
		t.Error("the certificate is accepted")
	}
	if !c.Identity().Leaf().Equal(before.Leaf()) || !m.load(t).Identity().Leaf().Equal(before.Leaf()) {
		t.Error("the identity changed")
	}
}

// TestAKeyIsStoredOnceAGatewayAcceptedIt switches from a new key to the old one and back.
func TestAKeyIsStoredOnceAGatewayAcceptedIt(t *testing.T) {
	m := newMachine(t)
	c := m.load(t)
	oldKey, newKey := c.Identity().Key, fakegateway.NewKey(t)
	if c.SwitchKey() {
		t.Error("there is another key before a rotation")
	}
	if err := c.ReplaceCertificate(newKey, time.Now(), [][]byte{m.issue(t, "box", newKey).Raw}); err != nil {
		t.Fatal(err)
	}
	c = m.load(t) // the old key outlives a restart
	if !c.Identity().Key.Equal(newKey) || !c.SwitchKey() || !c.Identity().Key.Equal(oldKey) {
		t.Fatal("the old key is not used after the switch")
	}
	if !m.storedKey(t).Equal(newKey) {
		t.Error("the old key is stored before a gateway accepted it")
	}
	if !c.SwitchKey() || !c.Identity().Key.Equal(newKey) || !c.SwitchKey() {
		t.Error("the keys do not alternate")
	}
	if err := c.SaveAcceptedKey(); err != nil || !m.storedKey(t).Equal(oldKey) {
		t.Errorf("the accepted key is not stored: %v", err)
	}
}
