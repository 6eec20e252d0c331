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

// ErrInvalidScalar says that a stored password record cannot be used.
var ErrInvalidScalar = errors.New("invalid password scalar")

// PasswordScalar derives w, the only form in which a gateway knows a secret (PIN
// or QR secret), bound to the code's lookup id. HKDF-SHA256 output is taken
// whole or drawn again (probability 2^-32), so w is uniform and the work tells
// nothing about it.
//
// w of a PIN is as good as the PIN: a million guesses find it, with any hash, so
// a slow one would only pretend. It is guarded like the code itself.
func PasswordScalar(lookupID, secret string) []byte {
	ikm := lengthPrefixed([]byte(lookupID), []byte(secret))
	for try := 0; ; try++ {
		w, err := hkdf.Key(sha256.New, ikm, nil, "mooring pairing scalar v1 "+strconv.Itoa(try), ScalarLength)
		if err != nil {
			panic("pairing: HKDF of 32 bytes: " + err.Error()) // only its output length can be refused
		}
		if checkScalar(w) == nil {
			return w
		}
	}
}

// checkScalar accepts exactly the scalars of P-256 (crypto/ecdh compares in
// constant time).
func checkScalar(w []byte) error {
	if _, err := ecdh.P256().NewPrivateKey(w); err != nil {
		return fmt.Errorf("%w: not %d bytes in the range of P-256", ErrInvalidScalar, ScalarLength)
	}
	return nil
}

// maxDraws bounds randomScalar: a good source needs one draw, and 16 bad ones in
// a row mean a broken source.
const maxDraws = 16

// randomScalar draws a uniform scalar, by rejection.
func randomScalar(rand io.Reader) ([]byte, error) {
	for range maxDraws {
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
