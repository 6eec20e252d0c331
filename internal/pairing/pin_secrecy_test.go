package pairing

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"filippo.io/nistec"
)

// These tests simulate an attacker who has all public values of one exchange and unlimited guesses
// at the PIN. The randomness is fixed, so the result is always the same.

const (
	solvedLookupID = "K7QX2M"
	// windowLength is the number of bytes of a value that must be public for the solver to detect
	// it. It is short enough for truncated hashes, and long enough to exclude matches by chance.
	windowLength = 8
)

// pinSpace returns the number of PINs to try: all of them when the long tests run.
func pinSpace() int {
	if os.Getenv("MOORING_TEST_SIZE") == "full" {
		return 1_000_000
	}
	return 10_000
}

// public holds the values that third parties may see: messages and fields of resources.
type public map[string][]byte

// completedExchange is one completed exchange with its secrets; only tests that plant a leak use the
// secrets.
type completedExchange struct {
	public
	pin, w, ke    []byte
	gatewayScalar []byte
	aad           []byte
}

// runExchange runs one exchange as the agent and the gateway do, with the PIN of the given index.
func runExchange(t *testing.T, index int) completedExchange {
	t.Helper()
	random := rand.NewChaCha8(sha256.Sum256([]byte("battery")))
	draw := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(random, b)
		return b
	}
	pin := pinAt(index)
	w := PasswordScalar(solvedLookupID, string(pin))
	a, err := NewAgent(w, random)
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGateway(w, random)
	if err != nil {
		t.Fatal(err)
	}
	scalar := bytes.Clone(g.secret)
	exporter, publicKey, bundle := draw(ExporterLength), draw(91), draw(600)
	keyHash, bundleHash := sha256.Sum256(publicKey), sha256.Sum256(bundle)
	aad := AAD(exporter, solvedLookupID, hex.EncodeToString(keyHash[:]), hex.EncodeToString(bundleHash[:]))
	shareA, shareB := a.Share(), g.Share()
	k, err := a.groupElement(shareB, w, bytes.Clone(a.secret))
	if err != nil {
		t.Fatal(err)
	}
	hashTT := sha256.Sum256(lengthPrefixed([]byte(identityAgent), []byte(identityGateway), shareA, shareB, k, w))
	agent, gateway := finishExchange(t, a, g, aad, aad)
	answer := Answer{TrustBundle: bundle, Namespace: "fleet", Name: "kiosk-" + hex.EncodeToString(keyHash[:4]) + "-k7qx2m", NodeEndpoint: "gw:7444"}
	return completedExchange{pin: pin, w: w, ke: hashTT[:16], gatewayScalar: scalar, aad: aad, public: public{
		"lookup id": []byte(solvedLookupID), "session id": draw(16), "exporter": exporter, "aad": aad,
		"share of the agent": shareA, "share of the gateway": shareB,
		"confirmation of the agent": agent.Confirmation(), "confirmation of the gateway": gateway.Confirmation(),
		"transcriptSHA256": []byte(gateway.TranscriptSHA256()), "mac of the answer": gateway.MACAnswer(answer),
		"request": []byte(answer.Namespace + "/" + answer.Name), "node endpoint": []byte(answer.NodeEndpoint),
		"publicKey": publicKey, "publicKeySHA256": []byte(hex.EncodeToString(keyHash[:])),
		"verificationCode": []byte(VerificationCode(hex.EncodeToString(keyHash[:]))),
		"bundle":           bundle, "bundleSHA256": bundleHash[:],
	}}
}

func pinAt(index int) []byte { return fmt.Appendf(nil, "%06d", index) }

func TestEverythingPublicOfAnExchangeSaysNothingAboutThePIN(t *testing.T) {
	e := runExchange(t, pinSpace()-1)
	if pin, how := findPIN(e.public, pinSpace()); how != "" {
		t.Errorf("the solver found PIN %s: %s", pin, how)
	}
	if how := findKeys(e.public); how != "" {
		t.Errorf("a key of the session is public: %s", how)
	}
}

func TestTheSolverFindsPlantedLeaks(t *testing.T) {
	const space = 1000 // a leak is detected with any PIN
	e := runExchange(t, space*3/4)
	salt, hash, hashOfW := []byte("0123456789abcdef"), sha256.Sum256(e.pin), sha512.Sum512(e.w)
	salted := sha256.Sum256(append(bytes.Clone(salt), e.pin...))
	blind, err := nistec.NewP256Point().ScalarMult(blindA, e.w)
	if err != nil {
		t.Fatal(err)
	}
	for name, leak := range map[string]public{
		"the hash of the PIN":          {"leak": hash[:]},
		"its first eight bytes in hex": {"leak": []byte("id-" + hex.EncodeToString(hash[:8]))},
		"an HMAC keyed by the PIN":     {"leak": hmacSHA256(e.pin, e.public["transcriptSHA256"])},
		"an HMAC of the PIN":           {"leak": hmacSHA256(e.public["exporter"], e.pin)},
		"a salted hash":                {"leak": salted[:], "salt": salt},
		"the password scalar":          {"leak": e.w},
		"the scalar in base64":         {"leak": []byte(base64.StdEncoding.EncodeToString(e.w))},
		"a hash of the scalar":         {"leak": hashOfW[:]},
		"an unblinded share":           {"leak": blind.Bytes()},
	} {
		t.Run(name, func(t *testing.T) {
			if pin, how := findPIN(mergePublicValues(e.public, leak), space); how == "" || !bytes.Equal(pin, e.pin) {
				t.Errorf("the solver does not detect the leak: found %q, %q", pin, how)
			}
		})
	}
	t.Run("Ke", func(t *testing.T) {
		if how := findKeys(mergePublicValues(e.public, public{"leak": append([]byte("key="), e.ke...)})); how == "" {
			t.Error("the solver does not detect the key of the exchange")
		}
	})
}

func mergePublicValues(p, more public) public {
	all := public{}
	for _, from := range []public{p, more} {
		for name, value := range from {
			all[name] = value
		}
	}
	return all
}

// The guarantee depends on the scalars, which are erased after the exchange: with one of them the
// PIN can be found.
func TestTheSolverFindsThePINWithTheSecretScalar(t *testing.T) {
	e := runExchange(t, pinSpace()*2/3)
	search := func(scalar []byte, space int) []byte {
		return searchPINs(space, func(pin []byte) string {
			g := Gateway{side{role: roleB, idA: identityAgent, idB: identityGateway,
				w: PasswordScalar(solvedLookupID, string(pin)), secret: bytes.Clone(scalar), share: e.public["share of the gateway"]}}
			keys, err := g.Finish(e.public["share of the agent"], e.aad)
			if err != nil || keys.VerifyPeer(e.public["confirmation of the agent"]) != nil {
				return ""
			}
			return "its confirmation fits"
		}).pin
	}
	if got := search(e.gatewayScalar, pinSpace()); !bytes.Equal(got, e.pin) {
		t.Errorf("with the secret scalar the solver found %q, want %s", got, e.pin)
	}
	other := bytes.Clone(e.gatewayScalar)
	other[31] ^= 1
	if got := search(other, pinSpace()/10); got != nil {
		t.Errorf("with another scalar the solver found %s", got)
	}
}

type solution struct {
	pin         []byte
	explanation string
}

// searchPINs calls check for every PIN of the space until one returns a text; "" means no match.
func searchPINs(space int, check func(pin []byte) string) solution {
	var (
		found atomic.Pointer[solution]
		wg    sync.WaitGroup
	)
	workers := runtime.GOMAXPROCS(0)
	for worker := range workers {
		wg.Go(func() {
			for place := worker; place < space && found.Load() == nil; place += workers {
				if how := check(pinAt(place)); how != "" {
					found.Store(&solution{pinAt(place), how})
				}
			}
		})
	}
	wg.Wait()
	if s := found.Load(); s != nil {
		return *s
	}
	return solution{}
}

// findPIN searches for a PIN of which a public value is a function.
func findPIN(p public, space int) (pin []byte, how string) {
	seen := byteWindows(p)
	found := searchPINs(space, func(pin []byte) (how string) {
		visitFunctionsOf(pin, p, func(name, salt string, value []byte) {
			for ; len(value) >= windowLength; value = value[windowLength:] {
				if seen[binary.LittleEndian.Uint64(value)] {
					how = name + " " + salt
				}
			}
		})
		return how
	})
	return found.pin, found.explanation
}

// byteWindows returns all runs of windowLength bytes in the public values, both raw and decoded.
func byteWindows(p public) map[uint64]bool {
	seen := map[uint64]bool{}
	for _, value := range p {
		for _, form := range decodedForms(value) {
			for i := 0; i+windowLength <= len(form); i++ {
				seen[binary.LittleEndian.Uint64(form[i:])] = true
			}
		}
	}
	return seen
}

// decodedForms returns a value and the decoded bytes of its runs of hex or base64 digits.
func decodedForms(value []byte) [][]byte {
	all := [][]byte{value}
	digits := bytes.FieldsFunc(value, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'f') && (r < 'A' || r > 'F')
	})
	for _, run := range digits {
		for _, even := range [][]byte{run[:len(run)&^1], run[len(run)&1:]} {
			if decoded, err := hex.DecodeString(string(even)); err == nil {
				all = append(all, decoded)
			}
		}
	}
	if decoded, err := base64.StdEncoding.DecodeString(string(value)); err == nil {
		all = append(all, decoded)
	}
	return all
}

// visitFunctionsOf calls `visit` with the functions of a PIN that careless code could publish.
func visitFunctionsOf(pin []byte, salts public, visit func(name, salt string, value []byte)) {
	w := PasswordScalar(solvedLookupID, string(pin))
	visit("the password scalar", "", w)
	for i, secret := range [][]byte{pin, slices.Concat([]byte(solvedLookupID+"-"), pin), w} {
		of := [...]string{"of the PIN", "of the code", "of the scalar"}[i]
		s1, s256, s512, m5 := sha1.Sum(secret), sha256.Sum256(secret), sha512.Sum512(secret), md5.Sum(secret)
		visit("SHA-1", of, s1[:])
		visit("SHA-256", of, s256[:])
		visit("SHA-512", of, s512[:])
		visit("MD5", of, m5[:])
	}
	for _, blind := range []*nistec.P256Point{blindA, blindB} {
		if point, err := nistec.NewP256Point().ScalarMult(blind, w); err == nil {
			visit("the blinding point alone", "", point.Bytes()[1:])
		}
	}
	for name, salt := range salts {
		before, after := sha256.Sum256(slices.Concat(salt, pin)), sha256.Sum256(slices.Concat(pin, salt))
		visit("salted hash, first", name, before[:])
		visit("salted hash, last", name, after[:])
		visit("HMAC keyed by the PIN of", name, hmacSHA256(pin, salt))
		visit("HMAC of the PIN keyed by", name, hmacSHA256(salt, pin))
		visit("HMAC keyed by the scalar of", name, hmacSHA256(w, salt))
	}
}

// findKeys tries every public run of bytes as a key of the exchange. It detects Ke, also as the
// beginning of Hash(TT), because transcriptSHA256 follows from it.
func findKeys(p public) string {
	transcript, err := hex.DecodeString(string(p["transcriptSHA256"]))
	if err != nil {
		return "transcriptSHA256 is no hex"
	}
	for name, value := range p {
		for _, form := range decodedForms(value) {
			for i := 0; i+16 <= len(form); i++ {
				guess, err := hkdf.Expand(sha256.New, form[i:i+16], "mooring transcript v1", 32)
				if err == nil && hmac.Equal(guess, transcript) {
					return fmt.Sprintf("byte %d of %s is Ke", i, name)
				}
			}
		}
	}
	return ""
}
