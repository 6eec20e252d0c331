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
	// LookupIDLength and PINLength are the sizes in characters of the two parts of a pairing code.
	LookupIDLength = 6
	PINLength      = 6

	digits = "0123456789"

	// maxCodeLength bounds what ParseCode looks at, in bytes.
	maxCodeLength = 64
)

// ErrInvalidCode is the cause of every refusal of ParseCode and CheckLookupID.
var ErrInvalidCode = errors.New("invalid pairing code")

// Code is a pairing code as a person types it, for example K7QX2M-482913.
type Code struct {
	// LookupID names the code's record; it is public. 6 characters of Crockford's
	// base32, upper case, unique in the cluster.
	LookupID string
	// PIN is the secret half: 6 decimal digits.
	PIN string
}

// ParseCode reads a pairing code the way people write it: in either case, with
// or without the dash, with dashes and spaces of any kind, and with O, I or L for 0, 1 and 1.
// Its errors wrap ErrInvalidCode, say what is wrong and never repeat the input.
func ParseCode(s string) (Code, error) {
	if len(s) > maxCodeLength {
		return Code{}, fmt.Errorf("%w: it is too long; a code looks like K7QX2M-482913", ErrInvalidCode)
	}
	compact := unambiguous.Replace(strings.ToUpper(strings.Map(dropSeparator, s)))
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
	if !consistsOf(code.PIN, digits) {
		return Code{}, fmt.Errorf("%w: the last %d characters must be digits", ErrInvalidCode, PINLength)
	}
	return code, nil
}

// dropSeparator drops dashes of every kind (a minus too), white space and characters of no width: mail
// programs and documents put them into a code.
func dropSeparator(r rune) rune {
	const minus = '\u2212'
	if r == minus || unicode.In(r, unicode.Pd, unicode.Z, unicode.Cf) || unicode.IsSpace(r) {
		return -1
	}
	return r
}

// CheckLookupID refuses what is not a lookup id in its canonical form. Receivers
// of a lookup id from the network use it before they look anything up.
func CheckLookupID(lookupID string) error {
	if len(lookupID) != LookupIDLength || !consistsOf(lookupID, alphabet) {
		return fmt.Errorf("%w: the first part must be %d characters out of %s", ErrInvalidCode, LookupIDLength, alphabet)
	}
	return nil
}

// String is the whole code, secret included, for the one person it is meant for.
func (c Code) String() string { return c.LookupID + "-" + c.PIN }

// LogValue keeps the PIN out of structured logs.
func (c Code) LogValue() slog.Value { return slog.StringValue(c.LookupID) }

// NewLookupID draws a lookup id (30 bits). The caller sees to its being unique.
func NewLookupID(rand io.Reader) (string, error) {
	var b [4]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("draw lookup id: %w", err)
	}
	return encode32(b[:], LookupIDLength), nil
}

// NewPIN draws six decimal digits, each PIN equally likely.
func NewPIN(rand io.Reader) (string, error) {
	pin := make([]byte, 0, PINLength)
	for len(pin) < PINLength {
		var b [1]byte
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return "", fmt.Errorf("draw PIN: %w", err)
		}
		// 250 is the largest multiple of 10 that fits a byte: the rest would favour low digits.
		if b[0] < 250 {
			pin = append(pin, digits[b[0]%10])
		}
	}
	return string(pin), nil
}

// QRSecretLength is the size in characters of a QR secret: 128 bits, lower-case hex.
const QRSecretLength = 32

// NewQRSecret draws the secret of a QR invitation.
func NewQRSecret(rand io.Reader) (string, error) {
	var b [QRSecretLength / 2]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("draw QR secret: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}
