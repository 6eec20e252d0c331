package pairing

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"filippo.io/nistec"
)

const (
	keyHash    = "1111111111111111111111111111111111111111111111111111111111111111"
	bundleHash = "2222222222222222222222222222222222222222222222222222222222222222"
)

var goodAAD = AAD(make([]byte, ExporterLength), "K7QX2M", keyHash, bundleHash)

// pair begins both sides of an exchange.
func pair(t testing.TB, agentW, gatewayW []byte) (*Agent, *Gateway) {
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

// finish finishes both sides, each with its own view of the connection.
func finish(t testing.TB, a *Agent, g *Gateway, agentAAD, gatewayAAD []byte) (agent, gateway *Keys) {
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
	a, g := pair(t, w, w)
	agent, gateway := finish(t, a, g, goodAAD, goodAAD)
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
			a, g := pair(t, right, c.w)
			agent, gateway := finish(t, a, g, goodAAD, c.aad)
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
	a, g := pair(t, w, w)
	agent, gateway := finish(t, a, g, goodAAD, goodAAD)
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
	a, _ := pair(t, w, w)
	b, _ := pair(t, w, w)
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

// badShares are refused by whoever receives them.
func badShares(t testing.TB) map[string][]byte {
	share := bytes.Clone(validShare(t))
	offCurve := bytes.Clone(share)
	offCurve[64] ^= 1
	outOfField := append([]byte{4}, bytes.Repeat([]byte{0xff}, 64)...)
	compressed := elliptic.MarshalCompressed(elliptic.P256(), elliptic.P256().Params().Gx, elliptic.P256().Params().Gy)
	hybrid := bytes.Clone(share)
	hybrid[0] = 6
	return map[string][]byte{
		"nothing":                nil,
		"the identity":           {0},
		"the identity, padded":   make([]byte, ShareLength),
		"an affine zero":         append([]byte{4}, make([]byte, 64)...),
		"off the curve":          offCurve,
		"outside the field":      outOfField,
		"compressed":             compressed,
		"compressed, padded":     append(bytes.Clone(compressed), make([]byte, 32)...),
		"hybrid form":            hybrid,
		"one byte short":         share[:64],
		"one byte long":          append(bytes.Clone(share), 0),
		"much too long":          bytes.Repeat(share, 100),
		"coordinates with no 04": share[1:],
	}
}

func validShare(t testing.TB) []byte {
	t.Helper()
	share, err := RandomShare(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return share
}

func TestBadSharesAreRefused(t *testing.T) {
	w := PasswordScalar("K7QX2M", "482913")
	for name, share := range badShares(t) {
		t.Run(name, func(t *testing.T) {
			if err := CheckShare(share); !errors.Is(err, ErrInvalidShare) {
				t.Errorf("CheckShare: %v, want ErrInvalidShare", err)
			}
			a, g := pair(t, w, w)
			if keys, err := a.Finish(share, goodAAD); keys != nil || !errors.Is(err, ErrInvalidShare) {
				t.Errorf("agent: keys %v, %v, want ErrInvalidShare", keys, err)
			}
			if keys, err := g.Finish(share, goodAAD); keys != nil || !errors.Is(err, ErrInvalidShare) {
				t.Errorf("gateway: keys %v, %v, want ErrInvalidShare", keys, err)
			}
		})
	}
}

func TestReflectedShareIsRefused(t *testing.T) {
	w := PasswordScalar("K7QX2M", "482913")
	a, g := pair(t, w, w)
	if _, err := a.Finish(a.Share(), goodAAD); !errors.Is(err, ErrInvalidShare) {
		t.Errorf("agent: %v, want ErrInvalidShare", err)
	}
	if _, err := g.Finish(g.Share(), goodAAD); !errors.Is(err, ErrInvalidShare) {
		t.Errorf("gateway: %v, want ErrInvalidShare", err)
	}
}

func TestShareThatUnblindsToTheIdentityIsRefused(t *testing.T) {
	w := PasswordScalar("K7QX2M", "482913")
	a, g := pair(t, w, w)
	for name, c := range map[string]struct {
		blind  *nistec.P256Point
		finish func(share, aad []byte) (*Keys, error)
	}{
		"agent":   {blindB, a.Finish},
		"gateway": {blindA, g.Finish},
	} {
		evil, err := nistec.NewP256Point().ScalarMult(c.blind, w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.finish(evil.Bytes(), goodAAD); !errors.Is(err, ErrInvalidShare) {
			t.Errorf("%s: %v, want ErrInvalidShare", name, err)
		}
	}
}

func TestExchangeCanBeFinishedOnce(t *testing.T) {
	w := PasswordScalar("K7QX2M", "482913")
	a, g := pair(t, w, w)
	finish(t, a, g, goodAAD, goodAAD)
	if _, err := a.Finish(g.Share(), goodAAD); !errors.Is(err, ErrFinished) {
		t.Errorf("after success: %v, want ErrFinished", err)
	}
	a, g = pair(t, w, w)
	if _, err := g.Finish(nil, goodAAD); err == nil {
		t.Fatal("an empty share is accepted")
	}
	if _, err := g.Finish(a.Share(), goodAAD); !errors.Is(err, ErrFinished) {
		t.Errorf("after a bad share: %v, want ErrFinished", err)
	}
}

func TestUnknownCodeGetsAShareThatLooksTrueAndNeverCompletes(t *testing.T) {
	w := PasswordScalar("K7QX2M", "482913")
	a, _ := pair(t, w, w)
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

func TestScalarsOutOfRangeAreRefused(t *testing.T) {
	order := elliptic.P256().Params().N.Bytes()
	for name, w := range map[string][]byte{
		"nothing": nil, "zero": make([]byte, 32), "the order": order, "all ones": bytes.Repeat([]byte{0xff}, 32),
		"short": make([]byte, 31), "long": append([]byte{0}, PasswordScalar("K7QX2M", "482913")...),
	} {
		if _, err := NewAgent(w, rand.Reader); !errors.Is(err, ErrInvalidScalar) {
			t.Errorf("agent with %s: %v, want ErrInvalidScalar", name, err)
		}
		if _, err := NewGateway(w, rand.Reader); !errors.Is(err, ErrInvalidScalar) {
			t.Errorf("gateway with %s: %v, want ErrInvalidScalar", name, err)
		}
	}
}

func TestBrokenRandomnessIsAnError(t *testing.T) {
	w := PasswordScalar("K7QX2M", "482913")
	for name, source := range map[string][]byte{"ends early": make([]byte, 31), "only zeros": make([]byte, 4096)} {
		if _, err := NewAgent(w, bytes.NewReader(source)); err == nil {
			t.Errorf("source that %s: no error", name)
		}
		if _, err := RandomShare(bytes.NewReader(source)); err == nil {
			t.Errorf("RandomShare, source that %s: no error", name)
		}
	}
}

func TestPasswordScalarIsStableAndSeparatesItsInputs(t *testing.T) {
	// Records in a cluster outlive a version of this code, so the value is frozen.
	const want = "d82693aeed592df981cb5e30c0c56592fd0204bb6a096e68ce4689c98d11faf4"
	w := PasswordScalar("K7QX2M", "482913")
	if got := hex.EncodeToString(w); got != want {
		t.Errorf("w = %s, want %s", got, want)
	}
	if bytes.Equal(PasswordScalar("K7QX2M4", "82913"), w) {
		t.Error("lookup id and secret run into each other")
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

func FuzzShare(f *testing.F) {
	f.Add(validShare(f))
	for _, share := range badShares(f) {
		f.Add(share)
	}
	w := PasswordScalar("K7QX2M", "482913")
	f.Fuzz(func(t *testing.T, share []byte) {
		a, err := NewAgent(w, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := a.Finish(share, goodAAD)
		if (CheckShare(share) == nil) != (err == nil) {
			t.Fatalf("CheckShare and Finish disagree: %v", err)
		}
		onCurve := len(share) == ShareLength && share[0] == 4 && isOnCurve(share)
		if (err == nil) != onCurve || (keys == nil) != (err != nil) {
			t.Fatalf("share %x: keys %v, error %v", share, keys, err)
		}
	})
}

// isOnCurve asks another implementation.
func isOnCurve(share []byte) bool {
	x, _ := elliptic.Unmarshal(elliptic.P256(), share) //nolint:staticcheck // an independent opinion
	return x != nil
}

func TestKeysNeverPrint(t *testing.T) {
	w := PasswordScalar("K7QX2M", "482913")
	a, g := pair(t, w, w)
	keys, _ := finish(t, a, g, goodAAD, goodAAD)
	for _, text := range printed(keys) {
		if !strings.Contains(text, "hidden") {
			t.Errorf("keys print as %s", text)
		}
	}
}
