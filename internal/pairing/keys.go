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

// ErrConfirmation means that the peer does not know the secret, or that its connection, code,
// public key or bundle differs from ours.
var ErrConfirmation = errors.New("pairing confirmation does not match")

// ErrMAC means that the data given to Keys.VerifyMAC is not the data that the peer sent.
var ErrMAC = errors.New("pairing message authentication does not match")

// Keys holds the keys of one exchange. They prove nothing until VerifyPeer has returned nil. Keys
// never prints its content.
type Keys struct {
	ownConfirmation  []byte // our confirmation
	peerConfirmation []byte // the confirmation we expect
	macKey           []byte // HKDF-Expand(Ke, "mooring bundle v1")
	transcriptID     []byte // HKDF-Expand(Ke, "mooring transcript v1")
}

// deriveKeys implements the key schedule of RFC 9382, section 4. Hash(TT) itself never leaves this
// function.
func deriveKeys(r role, transcript, aad []byte) (*Keys, error) {
	hash := sha256.Sum256(transcript)
	ke, ka := hash[:16], hash[16:]
	confirm, err := hkdf.Key(sha256.New, ka, nil, "ConfirmationKeys"+string(aad), 32)
	if err != nil {
		return nil, fmt.Errorf("derive confirmation keys: %w", err)
	}
	macKey, err := hkdf.Expand(sha256.New, ke, "mooring bundle v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive session key: %w", err)
	}
	transcriptID, err := hkdf.Expand(sha256.New, ke, "mooring transcript v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive transcript id: %w", err)
	}
	macA, macB := hmacSHA256(confirm[:16], transcript), hmacSHA256(confirm[16:], transcript)
	keys := &Keys{ownConfirmation: macA, peerConfirmation: macB, macKey: macKey, transcriptID: transcriptID}
	if r == roleB {
		keys.ownConfirmation, keys.peerConfirmation = macB, macA
	}
	return keys, nil
}

// Confirmation returns our proof for the peer, 32 bytes. The agent sends its confirmation first;
// the gateway sends its own only after VerifyPeer.
func (k *Keys) Confirmation() []byte { return append([]byte(nil), k.ownConfirmation...) }

// VerifyPeer checks the peer's confirmation in constant time and returns nil or ErrConfirmation.
// The caller must count the attempt before the call.
func (k *Keys) VerifyPeer(mac []byte) error {
	if !hmac.Equal(k.peerConfirmation, mac) {
		return ErrConfirmation
	}
	return nil
}

// TranscriptSHA256 returns the public id of the exchange, which is the same on both sides. It is 32
// bytes in lower-case hex, from which no other value of the exchange can be derived.
func (k *Keys) TranscriptSHA256() string { return hex.EncodeToString(k.transcriptID) }

// MAC authenticates data with a label under a key of the exchange: HMAC-SHA256 over the
// length-prefixed label and parts, so that no bytes can move between parts.
func (k *Keys) MAC(label string, data ...[]byte) []byte {
	parts := append([][]byte{[]byte(label)}, data...)
	return hmacSHA256(k.macKey, lengthPrefixed(parts...))
}

// VerifyMAC checks a MAC of the peer in constant time and returns nil or ErrMAC.
func (k *Keys) VerifyMAC(mac []byte, label string, data ...[]byte) error {
	if !hmac.Equal(k.MAC(label, data...), mac) {
		return ErrMAC
	}
	return nil
}

// String hides the keys from %v and %s.
func (k *Keys) String() string { return "pairing.Keys(hidden)" }

// GoString hides the keys from %#v.
func (k *Keys) GoString() string { return k.String() }

// AAD returns the data that both sides must have in common, in addition to the secret, for their
// confirmations to match. It contains the TLS exporter (ExporterLabel, so that a relay in the
// middle fails) and the lookup id of the code. It also contains the lower-case hex SHA-256 of the
// device's public key and of the CA bundle.
func AAD(exporter []byte, codeID, publicKeySHA256, bundleSHA256 string) []byte {
	return lengthPrefixed(exporter, []byte(codeID), []byte(publicKeySHA256), []byte(bundleSHA256))
}

// lengthPrefixed joins parts unambiguously, as in RFC 9382, section 3.3: each part follows its
// length as 8 bytes, little endian.
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
