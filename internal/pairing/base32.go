package pairing

import (
	"encoding/hex"
	"strings"
)

// alphabet is Crockford's base32. It lacks I, L, O and U, so that text that is read aloud or copied
// by hand is hard to mistake.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// lookAlikeReplacer replaces the letters that the alphabet lacks by the digits that they resemble.
var lookAlikeReplacer = strings.NewReplacer("O", "0", "I", "1", "L", "1")

// encode32 returns the first n*5 bits of b as n characters of the alphabet. b must have that many
// bits.
func encode32(b []byte, n int) string {
	out := make([]byte, n)
	for i := range out {
		value := 0
		for bit := 5 * i; bit < 5*i+5; bit++ {
			value = value<<1 | int(b[bit/8]>>(7-bit%8)&1)
		}
		out[i] = alphabet[value]
	}
	return string(out)
}

// VerificationCode returns the code that people compare: the first 50 bits of the SHA-256 of the
// device's public key as XXXXX-XXXXX, in Crockford's base32. The same key has the same code on the
// machine's screen and in the PairingRequest, after every retry. publicKeySHA256 is lower-case hex
// (identity.FingerprintSPKI). Any other input returns "", which is the code of no key.
func VerificationCode(publicKeySHA256 string) string {
	if !isSHA256(publicKeySHA256) {
		return ""
	}
	sum, err := hex.DecodeString(publicKeySHA256)
	if err != nil {
		return ""
	}
	code := encode32(sum, 10)
	return code[:5] + "-" + code[5:]
}

// isSHA256 reports whether s is a SHA-256 in lower-case hex.
func isSHA256(s string) bool {
	return len(s) == 64 && containsOnly(s, "0123456789abcdef")
}

// containsOnly reports whether every byte of s is in set.
func containsOnly(s, set string) bool {
	for i := range len(s) {
		if strings.IndexByte(set, s[i]) < 0 {
			return false
		}
	}
	return true
}
