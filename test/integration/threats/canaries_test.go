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

// canary is one known secret in every form in which it could show.
type canary struct {
	name string
	// home is the beginning of the only key of etcd that may hold it; empty: none may.
	home    string
	forms   [][]byte
	pattern *regexp.Regexp // for what is too short to look for as it is
}

// in tells how the secret shows in text.
func (c canary) in(text []byte) bool {
	for _, form := range c.forms {
		if bytes.Contains(text, form) {
			return true
		}
	}
	return c.pattern != nil && c.pattern.Match(text)
}

// secretBytes are the forms of a binary secret: raw, hex, and base64 wherever it begins.
func secretBytes(b []byte) [][]byte {
	forms := [][]byte{b, []byte(hex.EncodeToString(b)), []byte(strings.ToUpper(hex.EncodeToString(b)))}
	for shift := range 3 {
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), b...))
		// Without what depends on the neighbours.
		text = text[(shift*8+5)/6 : (shift+len(b))/3*4]
		forms = append(forms, []byte(text), []byte(strings.NewReplacer("+", "-", "/", "_").Replace(text)))
	}
	return forms
}

// secretText are the forms of a text: as it is, in base64, and its hashes.
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

// ofCode are the canaries of a pairing code; home is the Secret for people.
func ofCode(text, home, record string) []canary {
	code, err := pairing.ParseCode(text)
	if err != nil {
		panic(err)
	}
	compact := code.LookupID + code.PIN
	forms := append(secretText(text), secretText(compact)...)
	forms = append(forms, []byte(strings.ToLower(text)), []byte(strings.ToLower(compact)))
	return []canary{
		{name: "code", home: home, forms: forms},
		// Six digits stand in many numbers: only a number of its own counts.
		{name: "PIN", home: home, pattern: regexp.MustCompile(`(^|[^0-9A-Za-z.])` + code.PIN + `([^0-9A-Za-z]|$)`)},
		{name: "hash of the PIN", forms: hashesOf(code.PIN)},
		{name: "password scalar", home: record, forms: secretBytes(pairing.PasswordScalar(code.LookupID, code.PIN))},
	}
}

// ofKey are the canaries of a private key.
func ofKey(name, home string, key *ecdsa.PrivateKey) (canary, error) {
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
	// The lines of the PEM texts that hold parts of the scalar; the others are public.
	c.forms = append(c.forms, lineOf(pkcs8, 0), lineOf(pkcs8, 1), lineOf(sec1, 0))
	return c, nil
}

// lineOf is one line of DER in PEM.
func lineOf(der []byte, n int) []byte {
	return bytes.Split(pem.EncodeToMemory(&pem.Block{Type: "KEY", Bytes: der}), []byte("\n"))[1+n]
}
