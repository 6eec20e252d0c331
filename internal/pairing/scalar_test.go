package pairing

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"testing"
)

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
	// Stored records outlive a version of this code, so the value must never change.
	const want = "d82693aeed592df981cb5e30c0c56592fd0204bb6a096e68ce4689c98d11faf4"
	w := PasswordScalar("K7QX2M", "482913")
	if got := hex.EncodeToString(w); got != want {
		t.Errorf("w = %s, want %s", got, want)
	}
	if bytes.Equal(PasswordScalar("K7QX2M4", "82913"), w) {
		t.Error("lookup id and secret run into each other")
	}
}
