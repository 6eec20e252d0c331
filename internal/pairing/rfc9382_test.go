package pairing

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// vector is one entry of testdata/spake2-rfc9382-p256.json (RFC 9382, appendix B).
type vector struct {
	A, B          string
	W, X, Y       string
	PA            string `json:"pA"`
	PB            string `json:"pB"`
	K             string
	HashTT        string `json:"hash_TT"`
	AConfirmation string `json:"A_confirmation"`
	BConfirmation string `json:"B_confirmation"`
}

func readVectors(t *testing.T) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/spake2-rfc9382-p256.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		t.Fatal("the file holds no vectors")
	}
	return file.Vectors
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestExchangeMatchesTheVectorsOfRFC9382(t *testing.T) {
	for _, v := range readVectors(t) {
		a, err := newSide(roleA, v.A, v.B, unhex(t, v.W), bytes.NewReader(unhex(t, v.X)))
		if err != nil {
			t.Fatal(err)
		}
		b, err := newSide(roleB, v.A, v.B, unhex(t, v.W), bytes.NewReader(unhex(t, v.Y)))
		if err != nil {
			t.Fatal(err)
		}
		wantHex(t, "pA", a.Share(), v.PA)
		wantHex(t, "pB", b.Share(), v.PB)
		kA, err := a.groupElement(b.Share(), a.w, a.secret)
		if err != nil {
			t.Fatal(err)
		}
		kB, err := b.groupElement(a.Share(), b.w, b.secret)
		if err != nil {
			t.Fatal(err)
		}
		wantHex(t, "K of A", kA, v.K)
		wantHex(t, "K of B", kB, v.K)
		transcript := lengthPrefixed([]byte(v.A), []byte(v.B), a.Share(), b.Share(), kA, unhex(t, v.W))
		sum := sha256.Sum256(transcript)
		wantHex(t, "Hash(TT)", sum[:], v.HashTT)

		keysA, err := a.Finish(b.Share(), nil)
		if err != nil {
			t.Fatal(err)
		}
		keysB, err := b.Finish(a.Share(), nil)
		if err != nil {
			t.Fatal(err)
		}
		wantHex(t, "confirmation of A", keysA.Confirmation(), v.AConfirmation)
		wantHex(t, "confirmation of B", keysB.Confirmation(), v.BConfirmation)
		if err := keysA.VerifyPeer(unhex(t, v.BConfirmation)); err != nil {
			t.Errorf("A refuses the confirmation of B: %v", err)
		}
		if err := keysB.VerifyPeer(unhex(t, v.AConfirmation)); err != nil {
			t.Errorf("B refuses the confirmation of A: %v", err)
		}
	}
}

func wantHex(t *testing.T, name string, got []byte, want string) {
	t.Helper()
	if hex.EncodeToString(got) != want {
		t.Errorf("%s = %x, want %s", name, got, want)
	}
}
