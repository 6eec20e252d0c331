package pairing

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// ErrConfirmation says that the peer does not know the secret, or sees another
// connection, code, public key or bundle than we do.
var ErrConfirmation = errors.New("pairing confirmation does not match")

// ErrMAC says that what Keys.VerifyMAC was shown is not what the peer sent.
var ErrMAC = errors.New("pairing message authentication does not match")

// Keys is the outcome of one exchange. It means nothing until VerifyPeer has
// returned nil. It never prints its content.
type Keys struct {
	own        []byte // our confirmation
	peer       []byte // the confirmation we expect
	sessionKey []byte // HKDF-Expand(Ke, "mooring bundle v1")
	transcript []byte // HKDF-Expand(Ke, "mooring transcript v1")
}

// deriveKeys is the key schedule of RFC 9382, section 4. Hash(TT) itself never
// leaves it.
func deriveKeys(r role, transcript, aad []byte) (*Keys, error) {
	hash := sha256.Sum256(transcript)
	ke, ka := hash[:16], hash[16:]
	confirm, err := hkdf.Key(sha256.New, ka, nil, "ConfirmationKeys"+string(aad), 32)
	if err != nil {
		return nil, fmt.Errorf("derive confirmation keys: %w", err)
	}
	sessionKey, err := hkdf.Expand(sha256.New, ke, "mooring bundle v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive session key: %w", err)
	}
	published, err := hkdf.Expand(sha256.New, ke, "mooring transcript v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive transcript id: %w", err)
	}
	macA, macB := hmacSHA256(confirm[:16], transcript), hmacSHA256(confirm[16:], transcript)
	keys := &Keys{own: macA, peer: macB, sessionKey: sessionKey, transcript: published}
	if r == roleB {
		keys.own, keys.peer = macB, macA
	}
	return keys, nil
}

// Confirmation is our proof for the peer: 32 bytes. The agent sends its own
// first; the gateway sends its own only after VerifyPeer.
func (k *Keys) Confirmation() []byte { return append([]byte(nil), k.own...) }

// VerifyPeer checks the peer's confirmation in constant time: nil or
// ErrConfirmation. The caller counts the try before it calls.
func (k *Keys) VerifyPeer(mac []byte) error {
	if !hmac.Equal(k.peer, mac) {
		return ErrConfirmation
	}
	return nil
}

// TranscriptSHA256 is the public id of the exchange, the same on both sides: 32
// bytes in lower-case hex, from which nothing else of the session follows.
func (k *Keys) TranscriptSHA256() string { return hex.EncodeToString(k.transcript) }

// MAC authenticates data of a stated kind under the session: HMAC-SHA256 over
// the length-prefixed label and parts, so no part can leak into the next.
func (k *Keys) MAC(label string, data ...[]byte) []byte {
	parts := append([][]byte{[]byte(label)}, data...)
	return hmacSHA256(k.sessionKey, lengthPrefixed(parts...))
}

// VerifyMAC checks what the peer made with MAC, in constant time: nil or ErrMAC.
func (k *Keys) VerifyMAC(mac []byte, label string, data ...[]byte) error {
	if !hmac.Equal(k.MAC(label, data...), mac) {
		return ErrMAC
	}
	return nil
}

// String hides the keys from %v and %s, GoString from %#v.
func (k *Keys) String() string { return "pairing.Keys(hidden)" }

// GoString hides the keys from %#v.
func (k *Keys) GoString() string { return k.String() }

// AAD is what both sides must see alike, besides the secret, for their
// confirmations to match: the TLS exporter (ExporterLabel, so a relay in the
// middle fails), the lookup id of the code, and the lower-case hex SHA-256 of
// the device's public key and of the CA bundle.
func AAD(exporter []byte, codeID, publicKeySHA256, bundleSHA256 string) []byte {
	return lengthPrefixed(exporter, []byte(codeID), []byte(publicKeySHA256), []byte(bundleSHA256))
}

// lengthPrefixed joins parts unambiguously, as RFC 9382, section 3.3 does: each
// after its length as 8 bytes, little endian.
func lengthPrefixed(parts ...[]byte) []byte {
	var out []byte
	for _, part := range parts {
		out = binary.LittleEndian.AppendUint64(out, uint64(len(part)))
		out = append(out, part...)
	}
	return out
}

func hmacSHA256(key, message []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(message)
	return mac.Sum(nil)
}
