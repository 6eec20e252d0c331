package pairing

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const (
	keyHash    = "1111111111111111111111111111111111111111111111111111111111111111"
	bundleHash = "2222222222222222222222222222222222222222222222222222222222222222"
)

var goodAAD = AAD(make([]byte, ExporterLength), "K7QX2M", keyHash, bundleHash)

// newExchange begins both sides of an exchange.
func newExchange(t testing.TB, agentW, gatewayW []byte) (*Agent, *Gateway) {
	t.Helper()
	a, err := NewAgent(agentW, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGateway(gatewayW, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return a, g
}

// finishExchange finishes both sides, each with its own view of the connection.
func finishExchange(t testing.TB, a *Agent, g *Gateway, agentAAD, gatewayAAD []byte) (agent, gateway *Keys) {
	t.Helper()
	agent, err := a.Finish(g.Share(), agentAAD)
	if err != nil {
		t.Fatal(err)
	}
	gateway, err = g.Finish(a.Share(), gatewayAAD)
	if err != nil {
		t.Fatal(err)
	}
	return agent, gateway
}

func TestBothSidesAgreeWhenTheyKnowTheSameSecret(t *testing.T) {
	w := PasswordScalar("K7QX2M", "482913")
	a, g := newExchange(t, w, w)
	agent, gateway := finishExchange(t, a, g, goodAAD, goodAAD)
	if err := gateway.VerifyPeer(agent.Confirmation()); err != nil {
		t.Errorf("gateway: %v", err)
	}
	if err := agent.VerifyPeer(gateway.Confirmation()); err != nil {
		t.Errorf("agent: %v", err)
	}
	if bytes.Equal(agent.Confirmation(), gateway.Confirmation()) {
		t.Error("both confirmations are the same, so one could be sent back")
	}
	if id := agent.TranscriptSHA256(); id != gateway.TranscriptSHA256() || !isSHA256(id) {
		t.Errorf("transcript ids %q and %q", id, gateway.TranscriptSHA256())
	}
}

func TestConfirmationFailsWhenTheSidesDiffer(t *testing.T) {
	right := PasswordScalar("K7QX2M", "482913")
	exporter := make([]byte, ExporterLength)
	otherExporter := bytes.Repeat([]byte{1}, ExporterLength)
	for name, c := range map[string]struct{ w, aad []byte }{
		"another PIN":             {PasswordScalar("K7QX2M", "482914"), goodAAD},
		"another code's PIN":      {PasswordScalar("K7QX2N", "482913"), goodAAD},
		"another connection":      {right, AAD(otherExporter, "K7QX2M", keyHash, bundleHash)},
		"another code id":         {right, AAD(exporter, "K7QX2N", keyHash, bundleHash)},
		"another public key":      {right, AAD(exporter, "K7QX2M", bundleHash, bundleHash)},
		"another bundle":          {right, AAD(exporter, "K7QX2M", keyHash, keyHash)},
		"key and bundle swapped":  {right, AAD(exporter, "K7QX2M", bundleHash, keyHash)},
		"bytes moved in the AAD":  {right, AAD(exporter, "K7QX2M1", keyHash[1:], bundleHash)},
		"no AAD":                  {right, nil},
		"exporter left out alone": {right, AAD(nil, "K7QX2M", keyHash, bundleHash)},
	} {
		t.Run(name, func(t *testing.T) {
			a, g := newExchange(t, right, c.w)
			agent, gateway := finishExchange(t, a, g, goodAAD, c.aad)
			if err := gateway.VerifyPeer(agent.Confirmation()); !errors.Is(err, ErrConfirmation) {
				t.Errorf("gateway: %v, want ErrConfirmation", err)
			}
			if err := agent.VerifyPeer(gateway.Confirmation()); !errors.Is(err, ErrConfirmation) {
				t.Errorf("agent: %v, want ErrConfirmation", err)
			}
		})
	}
}

func TestConfirmationIsComparedWhole(t *testing.T) {
	w := PasswordScalar("K7QX2M", "482913")
	a, g := newExchange(t, w, w)
	agent, gateway := finishExchange(t, a, g, goodAAD, goodAAD)
	right := agent.Confirmation()
	for i := range right {
		wrong := bytes.Clone(right)
		wrong[i] ^= 1
		if gateway.VerifyPeer(wrong) == nil {
			t.Errorf("a change of byte %d goes unnoticed", i)
		}
	}
	for name, wrong := range map[string][]byte{"nothing": nil, "a prefix": right[:16], "more": append(bytes.Clone(right), 0), "its own": gateway.Confirmation()} {
		if gateway.VerifyPeer(wrong) == nil {
			t.Errorf("%s is accepted as confirmation", name)
		}
	}
}

func TestTwoAgentsDoNotPair(t *testing.T) {
	w := PasswordScalar("K7QX2M", "482913")
	a, _ := newExchange(t, w, w)
	b, _ := newExchange(t, w, w)
	keysA, err := a.Finish(b.Share(), goodAAD)
	if err != nil {
		t.Fatal(err)
	}
	keysB, err := b.Finish(a.Share(), goodAAD)
	if err != nil {
		t.Fatal(err)
	}
	if keysA.VerifyPeer(keysB.Confirmation()) == nil || keysB.VerifyPeer(keysA.Confirmation()) == nil {
		t.Error("two agents confirm each other")
	}
	if keysA.TranscriptSHA256() == keysB.TranscriptSHA256() {
		t.Error("two agents derive the same keys")
	}
}

func TestExchangeCanBeFinishedOnce(t *testing.T) {
	w := PasswordScalar("K7QX2M", "482913")
	a, g := newExchange(t, w, w)
	finishExchange(t, a, g, goodAAD, goodAAD)
	if _, err := a.Finish(g.Share(), goodAAD); !errors.Is(err, ErrFinished) {
		t.Errorf("after success: %v, want ErrFinished", err)
	}
	a, g = newExchange(t, w, w)
	if _, err := g.Finish(nil, goodAAD); err == nil {
		t.Fatal("an empty share is accepted")
	}
	if _, err := g.Finish(a.Share(), goodAAD); !errors.Is(err, ErrFinished) {
		t.Errorf("after a bad share: %v, want ErrFinished", err)
	}
}

func TestUnknownCodeGetsAShareThatLooksTrueAndNeverCompletes(t *testing.T) {
	w := PasswordScalar("K7QX2M", "482913")
	a, _ := newExchange(t, w, w)
	share := validShare(t)
	if err := CheckShare(share); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(share, validShare(t)) {
		t.Error("the same random share twice")
	}
	if _, err := a.Finish(share, goodAAD); err != nil {
		t.Errorf("the agent can tell before it confirms: %v", err)
	}
}

func TestOnlyEqualSecretsConfirm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[0-9]{6}`)
		mine, theirs := secret.Draw(t, "mine"), secret.Draw(t, "theirs")
		if rapid.Bool().Draw(t, "same") {
			theirs = mine
		}
		a, err := NewAgent(PasswordScalar("K7QX2M", mine), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		g, err := NewGateway(PasswordScalar("K7QX2M", theirs), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		gateway, err := g.Finish(a.Share(), goodAAD)
		if err != nil {
			t.Fatal(err)
		}
		agent, err := a.Finish(g.Share(), goodAAD)
		if err != nil {
			t.Fatal(err)
		}
		if confirmed := gateway.VerifyPeer(agent.Confirmation()) == nil; confirmed != (mine == theirs) {
			t.Fatalf("secrets %q and %q: confirmed %t", mine, theirs, confirmed)
		}
	})
}

func TestKeysNeverPrint(t *testing.T) {
	w := PasswordScalar("K7QX2M", "482913")
	a, g := newExchange(t, w, w)
	keys, _ := finishExchange(t, a, g, goodAAD, goodAAD)
	for _, text := range formatAll(keys) {
		if !strings.Contains(text, "hidden") {
			t.Errorf("keys print as %s", text)
		}
	}
}
