package threats_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"regexp"
	"strings"

	"github.com/mooring-dev/mooring/internal/pairing"
)

// canary is one known secret in all forms in which it could appear.
type canary struct {
	name string
	// home is the prefix of the only etcd key that may contain the secret; empty: no key may.
	home    string
	forms   [][]byte
	pattern *regexp.Regexp // for secrets that are too short for a plain search
}

// isIn reports whether text contains the secret in one of its forms.
func (c canary) isIn(text []byte) bool {
	for _, form := range c.forms {
		if bytes.Contains(text, form) {
			return true
		}
	}
	return c.pattern != nil && c.pattern.Match(text)
}

// secretBytes returns the forms of a binary secret: raw, hex, and base64 at every alignment.
func secretBytes(b []byte) [][]byte {
	forms := [][]byte{b, []byte(hex.EncodeToString(b)), []byte(strings.ToUpper(hex.EncodeToString(b)))}
	for shift := range 3 {
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), b...))
		// This removes the characters that depend on neighbouring bytes.
		text = text[(shift*8+5)/6 : (shift+len(b))/3*4]
		forms = append(forms, []byte(text), []byte(strings.NewReplacer("+", "-", "/", "_").Replace(text)))
	}
	return forms
}

// secretText returns the forms of a text: the text itself, base64, and its hashes.
func secretText(s string) [][]byte {
	forms := secretBytes([]byte(s))
	return append(forms, hashesOf(s)...)
}

func hashesOf(s string) [][]byte {
	s1, s256, s512, m5 := sha1.Sum([]byte(s)), sha256.Sum256([]byte(s)), sha512.Sum512([]byte(s)), md5.Sum([]byte(s))
	var forms [][]byte
	for _, sum := range [][]byte{s1[:], s256[:], s512[:], m5[:]} {
		forms = append(forms, secretBytes(sum)...)
	}
	return forms
}

// codeCanaries returns the canaries of a pairing code; home is the Secret for people.
func codeCanaries(text, home, record string) []canary {
	code, err := pairing.ParseCode(text)
	if err != nil {
		panic(err)
	}
	compact := code.LookupID + code.PIN
	forms := append(secretText(text), secretText(compact)...)
	forms = append(forms, []byte(strings.ToLower(text)), []byte(strings.ToLower(compact)))
	return []canary{
		{name: "code", home: home, forms: forms},
		// Six digits occur inside many numbers: only a separate number counts.
		{name: "PIN", home: home, pattern: regexp.MustCompile(`(^|[^0-9A-Za-z.])` + code.PIN + `([^0-9A-Za-z]|$)`)},
		{name: "hash of the PIN", forms: hashesOf(code.PIN)},
		{name: "password scalar", home: record, forms: secretBytes(pairing.PasswordScalar(code.LookupID, code.PIN))},
	}
}

// newKeyCanary returns the canary of a private key.
func newKeyCanary(name, home string, key *ecdsa.PrivateKey) (canary, error) {
	scalar, err := key.Bytes()
	if err != nil {
		return canary{}, err
	}
	c := canary{name: name, home: home, forms: secretBytes(scalar)}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return canary{}, err
	}
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return canary{}, err
	}
	c.forms = append(c.forms, secretBytes(pkcs8)...)
	c.forms = append(c.forms, secretBytes(sec1)...)
	// These are the lines of the PEM texts that contain parts of the scalar; the other lines are
	// public.
	c.forms = append(c.forms, lineOf(pkcs8, 0), lineOf(pkcs8, 1), lineOf(sec1, 0))
	return c, nil
}

// lineOf returns the nth line of the PEM text of der.
func lineOf(der []byte, n int) []byte {
	return bytes.Split(pem.EncodeToMemory(&pem.Block{Type: "KEY", Bytes: der}), []byte("\n"))[1+n]
}
