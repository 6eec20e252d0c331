package pairing

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// LookupIDLength is the length of the first part of a pairing code, in characters.
	LookupIDLength = 6
	// PINLength is the length of the second part, in characters.
	PINLength = 6

	digits = "0123456789"

	// maxCodeLength bounds the input of ParseCode, in bytes.
	maxCodeLength = 64
)

// ErrInvalidCode is wrapped by every error of ParseCode and CheckLookupID.
var ErrInvalidCode = errors.New("invalid pairing code")

// Code is a pairing code as a person types it, for example K7QX2M-482913.
type Code struct {
	// LookupID identifies the code's record; it is public. It has 6 characters of Crockford's
	// base32 in upper case and is unique in the cluster.
	LookupID string
	// PIN is the secret part: 6 decimal digits.
	PIN string
}

// ParseCode reads a pairing code as people write it: in either case, with or without the dash, and
// with dashes and spaces of any kind. It reads O, I and L as 0, 1 and 1. Its errors wrap
// ErrInvalidCode, describe the mistake and never repeat the input.
func ParseCode(s string) (Code, error) {
	if len(s) > maxCodeLength {
		return Code{}, fmt.Errorf("%w: it is too long; a code looks like K7QX2M-482913", ErrInvalidCode)
	}
	compact := lookAlikeReplacer.Replace(strings.ToUpper(strings.Map(dropSeparator, s)))
	switch {
	case compact == "":
		return Code{}, fmt.Errorf("%w: it is empty; a code looks like K7QX2M-482913", ErrInvalidCode)
	case utf8.RuneCountInString(compact) != LookupIDLength+PINLength:
		return Code{}, fmt.Errorf("%w: it has %d letters and digits, not %d; a code looks like K7QX2M-482913",
			ErrInvalidCode, utf8.RuneCountInString(compact), LookupIDLength+PINLength)
	}
	if len(compact) != LookupIDLength+PINLength {
		return Code{}, fmt.Errorf("%w: it holds a character that is no letter of the Latin alphabet and no digit; a code looks like K7QX2M-482913", ErrInvalidCode)
	}
	code := Code{LookupID: compact[:LookupIDLength], PIN: compact[LookupIDLength:]}
	if err := CheckLookupID(code.LookupID); err != nil {
		return Code{}, err
	}
	if !containsOnly(code.PIN, digits) {
		return Code{}, fmt.Errorf("%w: the last %d characters must be digits", ErrInvalidCode, PINLength)
	}
	return code, nil
}

// dropSeparator drops dashes of every kind (and the minus sign), white space and characters of zero
// width: mail programs and documents insert them into a code.
func dropSeparator(r rune) rune {
	const minus = '\u2212'
	if r == minus || unicode.In(r, unicode.Pd, unicode.Z, unicode.Cf) || unicode.IsSpace(r) {
		return -1
	}
	return r
}

// CheckLookupID returns an error unless lookupID is a lookup id in canonical form. A process that
// receives a lookup id from the network must call it before any lookup.
func CheckLookupID(lookupID string) error {
	if len(lookupID) != LookupIDLength || !containsOnly(lookupID, alphabet) {
		return fmt.Errorf("%w: the first part must be %d characters out of %s", ErrInvalidCode, LookupIDLength, alphabet)
	}
	return nil
}

// String returns the whole code with its secret, for the person who receives it.
func (c Code) String() string { return c.LookupID + "-" + c.PIN }

// LogValue returns only the lookup id, to keep the PIN out of structured logs.
func (c Code) LogValue() slog.Value { return slog.StringValue(c.LookupID) }

// NewLookupID returns a random lookup id (30 bits). The caller must ensure that it is unique.
func NewLookupID(rand io.Reader) (string, error) {
	var b [4]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("draw lookup id: %w", err)
	}
	return encode32(b[:], LookupIDLength), nil
}

// NewPIN returns six random decimal digits; all PINs are equally likely.
func NewPIN(rand io.Reader) (string, error) {
	pin := make([]byte, 0, PINLength)
	for len(pin) < PINLength {
		var b [1]byte
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return "", fmt.Errorf("draw PIN: %w", err)
		}
		// 250 is the largest multiple of 10 in a byte: larger values would favour low digits.
		if b[0] < 250 {
			pin = append(pin, digits[b[0]%10])
		}
	}
	return string(pin), nil
}

// QRSecretLength is the length in characters of a QR secret: 128 bits in lower-case hex.
const QRSecretLength = 32

// NewQRSecret returns a random secret for a QR invitation.
func NewQRSecret(rand io.Reader) (string, error) {
	var b [QRSecretLength / 2]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("draw QR secret: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}
