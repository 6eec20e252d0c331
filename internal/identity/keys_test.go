package identity

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestPublicKeyReadsAndWritesTheSame(t *testing.T) {
	key := newKey(t)
	text, err := MarshalPublicKeyPEM(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParsePublicKeyPEM(text)
	if err != nil {
		t.Fatal(err)
	}
	if !key.PublicKey.Equal(got) {
		t.Error("another key came back")
	}
	if fingerprintOf(t, got) != fingerprintOf(t, key.Public()) {
		t.Error("the fingerprint changed on the way")
	}
}

func TestFingerprintIsTheOneOtherToolsPrint(t *testing.T) {
	// openssl ec -pubin -in testdata/p256.pub -outform DER | sha256sum
	const want = "bff61dd40635add6bcab90d7a0e434132d170578d57b76ac10aab472470e95e3"
	text, err := os.ReadFile("testdata/p256.pub")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParsePublicKeyPEM(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := fingerprintOf(t, key); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOnlyOneP256KeyInPEMIsRead(t *testing.T) {
	good, err := MarshalPublicKeyPEM(newKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(good)
	encode := func(kind string, headers map[string]string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Headers: headers, Bytes: der}))
	}
	for name, text := range map[string]string{
		"nothing":              "",
		"text":                 "ssh-ed25519 AAAA",
		"the bare DER":         string(block.Bytes),
		"another kind":         encode("EC PRIVATE KEY", nil, block.Bytes),
		"headers":              encode(publicKeyBlock, map[string]string{"a": "b"}, block.Bytes),
		"two keys":             string(good) + string(good),
		"text in front":        "hello\n" + string(good),
		"text behind":          string(good) + "hello",
		"bytes after the DER":  encode(publicKeyBlock, nil, append(block.Bytes[:len(block.Bytes):len(block.Bytes)], 0)),
		"a DER cut short":      encode(publicKeyBlock, nil, block.Bytes[:90]),
		"a point off the line": encode(publicKeyBlock, nil, flipLastBit(block.Bytes)),
		"far too long":         string(good) + strings.Repeat(" ", 2000),
	} {
		if key, err := ParsePublicKeyPEM([]byte(text)); !errors.Is(err, ErrUnsupportedKey) || key != nil {
			t.Errorf("%s: %v, want ErrUnsupportedKey", name, err)
		}
	}
}

func TestOtherKindsOfKeysAreNotWritten(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{"P-384": p384.Public(), "Ed25519": ed, "nil": nil, "a nil pointer": (*ecdsa.PublicKey)(nil), "a private key": newKey(t)} {
		if text, err := MarshalPublicKeyPEM(key); !errors.Is(err, ErrUnsupportedKey) || text != nil {
			t.Errorf("%s: %v, want ErrUnsupportedKey", name, err)
		}
	}
}
