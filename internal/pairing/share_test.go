package pairing

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"

	"filippo.io/nistec"
)

// badShares returns the shares that every receiver must refuse.
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
			a, g := newExchange(t, w, w)
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
	a, g := newExchange(t, w, w)
	if _, err := a.Finish(a.Share(), goodAAD); !errors.Is(err, ErrInvalidShare) {
		t.Errorf("agent: %v, want ErrInvalidShare", err)
	}
	if _, err := g.Finish(g.Share(), goodAAD); !errors.Is(err, ErrInvalidShare) {
		t.Errorf("gateway: %v, want ErrInvalidShare", err)
	}
}

func TestShareThatUnblindsToTheIdentityIsRefused(t *testing.T) {
	w := PasswordScalar("K7QX2M", "482913")
	a, g := newExchange(t, w, w)
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

// isOnCurve checks the share with an independent implementation.
func isOnCurve(share []byte) bool {
	x, _ := elliptic.Unmarshal(elliptic.P256(), share) //nolint:staticcheck // an independent opinion
	return x != nil
}
