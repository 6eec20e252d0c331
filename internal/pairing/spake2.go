package pairing

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"filippo.io/nistec"
)

// ShareLength is the size in bytes of a share: an uncompressed point of P-256.
const ShareLength = 65

// identityAgent and identityGateway are the identities A and B of the transcript.
const (
	identityAgent   = "mooring agent"
	identityGateway = "mooring gateway"
)

var (
	// ErrInvalidShare is wrapped by every refusal of a peer's share. The share has a wrong length
	// or encoding, is not on the curve, equals our own share, or leads to the identity element.
	ErrInvalidShare = errors.New("invalid share")
	// ErrFinished means that an exchange was already used; each allows one Finish.
	ErrFinished = errors.New("pairing exchange already finished")
)

// blindA and blindB are M and N of RFC 9382, section 6: points with unknown discrete logarithms.
var (
	blindA = mustPoint("02886e2f97ace46e55ba9dd7242579f2993b64e16ef3dcab95afd497333d8fa12f")
	blindB = mustPoint("03d8bbd6c639c62937b04d997f38c3770719c629d7014d49a24b4f98baa1292b49")
)

func mustPoint(compressed string) *nistec.P256Point {
	b, err := hex.DecodeString(compressed)
	if err != nil {
		panic("pairing: constant point: " + err.Error())
	}
	p, err := nistec.NewP256Point().SetBytes(b)
	if err != nil {
		panic("pairing: constant point: " + err.Error())
	}
	return p
}

// Agent is the machine's side of one exchange (A). It is not safe for concurrent use.
type Agent struct{ side }

// Gateway is the gateway's side of one exchange (B). It is not safe for concurrent use.
type Gateway struct{ side }

// NewAgent begins an exchange with the password scalar w and fresh randomness. It returns an error
// when w is not a valid scalar (ErrInvalidScalar) or rand fails.
func NewAgent(w []byte, rand io.Reader) (*Agent, error) {
	s, err := newSide(roleA, identityAgent, identityGateway, w, rand)
	if err != nil {
		return nil, fmt.Errorf("begin pairing as agent: %w", err)
	}
	return &Agent{s}, nil
}

// NewGateway begins the gateway's side of an exchange, as [NewAgent] does for the agent.
func NewGateway(w []byte, rand io.Reader) (*Gateway, error) {
	s, err := newSide(roleB, identityAgent, identityGateway, w, rand)
	if err != nil {
		return nil, fmt.Errorf("begin pairing as gateway: %w", err)
	}
	return &Gateway{s}, nil
}

// RandomShare returns the gateway's answer for an unknown code: a share from a random password that
// no secret can complete. It costs the same work as a valid share.
func RandomShare(rand io.Reader) ([]byte, error) {
	w, err := randomScalar(rand)
	if err != nil {
		return nil, err
	}
	g, err := NewGateway(w, rand)
	if err != nil {
		return nil, err
	}
	return g.Share(), nil
}

// CheckShare returns ErrInvalidShare for a share that no exchange could use, so that a gateway can
// reject it before it does any other work.
func CheckShare(share []byte) error {
	_, err := parseShare(share)
	return err
}

// parseShare accepts only uncompressed points on the curve. The identity element is encoded in one
// byte, so the length check rejects it. P-256 has cofactor 1, so there is no small subgroup to
// reject.
func parseShare(share []byte) (*nistec.P256Point, error) {
	if len(share) != ShareLength || share[0] != 4 {
		return nil, fmt.Errorf("%w: not an uncompressed point of %d bytes", ErrInvalidShare, ShareLength)
	}
	p, err := nistec.NewP256Point().SetBytes(share)
	if err != nil {
		return nil, fmt.Errorf("%w: not on the curve", ErrInvalidShare)
	}
	return p, nil
}

// role selects which of the two blinding points belongs to a side.
type role int

const (
	roleA role = iota
	roleB
)

func (r role) blindingPoints() (own, peer *nistec.P256Point) {
	if r == roleA {
		return blindA, blindB
	}
	return blindB, blindA
}

// side holds the state that both ends of an exchange have.
type side struct {
	role   role
	idA    string
	idB    string
	w      []byte
	secret []byte // x or y; nil once finished
	share  []byte
}

func newSide(r role, idA, idB string, w []byte, rand io.Reader) (side, error) {
	if err := checkScalar(w); err != nil {
		return side{}, err
	}
	for range maxAttempts {
		secret, err := randomScalar(rand)
		if err != nil {
			return side{}, err
		}
		share, err := blindedShare(r, w, secret)
		if err != nil {
			return side{}, err
		}
		// The identity element occurs once in 2^256 draws; the peer would refuse it.
		if len(share) == ShareLength {
			return side{role: r, idA: idA, idB: idB, w: bytes.Clone(w), secret: secret, share: share}, nil
		}
	}
	return side{}, errors.New("draw share: the random source is broken")
}

// blindedShare computes secret*P + w*(M or N).
func blindedShare(r role, w, secret []byte) ([]byte, error) {
	own, _ := r.blindingPoints()
	blind, err := nistec.NewP256Point().ScalarMult(own, w)
	if err != nil {
		return nil, fmt.Errorf("blind share: %w", err)
	}
	public, err := nistec.NewP256Point().ScalarBaseMult(secret)
	if err != nil {
		return nil, fmt.Errorf("compute share: %w", err)
	}
	return public.Add(public, blind).Bytes(), nil
}

// Share returns the message for the peer: ShareLength bytes.
func (s *side) Share() []byte { return bytes.Clone(s.share) }

// Finish takes the peer's share and derives the keys of the exchange; aad is the result of AAD. An
// exchange can be finished only once, even if that fails. The error is ErrInvalidShare or
// ErrFinished. A wrong password is not an error here; Keys.VerifyPeer detects it.
func (s *side) Finish(peerShare, aad []byte) (*Keys, error) {
	if s.secret == nil {
		return nil, ErrFinished
	}
	w, secret := s.w, s.secret
	s.w, s.secret = nil, nil
	defer clear(w)
	defer clear(secret)
	if bytes.Equal(peerShare, s.share) {
		return nil, fmt.Errorf("%w: our own share came back", ErrInvalidShare)
	}
	k, err := s.groupElement(peerShare, w, secret)
	if err != nil {
		return nil, err
	}
	shareA, shareB := s.share, peerShare
	if s.role == roleB {
		shareA, shareB = peerShare, s.share
	}
	transcript := lengthPrefixed([]byte(s.idA), []byte(s.idB), shareA, shareB, k, w)
	return deriveKeys(s.role, transcript, aad)
}

// groupElement computes K = secret*(peer - w*(N or M)), uncompressed.
func (s *side) groupElement(peerShare, w, secret []byte) ([]byte, error) {
	peer, err := parseShare(peerShare)
	if err != nil {
		return nil, err
	}
	_, peerBlind := s.role.blindingPoints()
	blind, err := nistec.NewP256Point().ScalarMult(peerBlind, w)
	if err != nil {
		return nil, fmt.Errorf("unblind share: %w", err)
	}
	peer.Add(peer, blind.Negate(blind))
	k, err := peer.ScalarMult(peer, secret)
	if err != nil {
		return nil, fmt.Errorf("compute key: %w", err)
	}
	if k.IsInfinity() == 1 {
		return nil, fmt.Errorf("%w: it leads to the identity", ErrInvalidShare)
	}
	return k.Bytes(), nil
}
