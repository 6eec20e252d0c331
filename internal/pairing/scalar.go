package pairing

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// ScalarLength is the size in bytes of a password scalar: big endian, from 1 to
// the order of P-256 minus 1.
const ScalarLength = 32

// ErrInvalidScalar means that a stored password record cannot be used.
var ErrInvalidScalar = errors.New("invalid password scalar")

// PasswordScalar derives w, the only form of a secret (PIN or QR secret) that a gateway has. w is
// bound to the code's lookup id. The function rejects HKDF-SHA256 output out of range and derives
// again (probability 2^-32), so w is uniform and the work does not depend on it.
//
// The w of a PIN is as sensitive as the PIN: a million guesses find it with any hash, so a slow
// hash would not protect it. It must be protected like the code itself.
func PasswordScalar(lookupID, secret string) []byte {
	ikm := lengthPrefixed([]byte(lookupID), []byte(secret))
	for try := 0; ; try++ {
		w, err := hkdf.Key(sha256.New, ikm, nil, "mooring pairing scalar v1 "+strconv.Itoa(try), ScalarLength)
		if err != nil {
			panic("pairing: HKDF of 32 bytes: " + err.Error()) // HKDF can only reject the output length
		}
		if checkScalar(w) == nil {
			return w
		}
	}
}

// checkScalar accepts exactly the scalars of P-256; crypto/ecdh compares in constant time.
func checkScalar(w []byte) error {
	if _, err := ecdh.P256().NewPrivateKey(w); err != nil {
		return fmt.Errorf("%w: not %d bytes in the range of P-256", ErrInvalidScalar, ScalarLength)
	}
	return nil
}

// maxAttempts bounds randomScalar: a good source needs one draw, and 16 consecutive rejections mean
// that the source is broken.
const maxAttempts = 16

// randomScalar returns a uniform random scalar, by rejection sampling.
func randomScalar(rand io.Reader) ([]byte, error) {
	for range maxAttempts {
		b := make([]byte, ScalarLength)
		if _, err := io.ReadFull(rand, b); err != nil {
			return nil, fmt.Errorf("draw scalar: %w", err)
		}
		if checkScalar(b) == nil {
			return b, nil
		}
	}
	return nil, errors.New("draw scalar: the random source is broken")
}
