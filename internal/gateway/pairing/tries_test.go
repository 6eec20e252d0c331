package pairing

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
	spake "github.com/mooring-dev/mooring/internal/pairing"
)

// oneCode is a store with one code and its record. It stores every write.
type oneCode struct {
	client.Client
	record   *corev1.Secret
	code     *v1alpha1.PairingCode
	nodes    map[string]*v1alpha1.Node
	created  []string // names of the requests
	writeErr error    // the error of each write
	// createErr is the error of each request that is created; nil if it is stored.
	createErr error
}

func newOneCode() *oneCode {
	return &oneCode{
		code: &v1alpha1.PairingCode{},
		record: &corev1.Secret{Type: v1alpha1.SecretTypePairingRecord, Data: map[string][]byte{
			v1alpha1.RecordKeyScalar:    spake.PasswordScalar("ZZZZZZ", "123456"),
			v1alpha1.RecordKeyTriesUsed: []byte("0"),
			v1alpha1.RecordKeyExpires:   []byte(testTime.Add(time.Hour).Format(time.RFC3339)),
		}},
		nodes: map[string]*v1alpha1.Node{},
	}
}

func (c *oneCode) Get(_ context.Context, key types.NamespacedName, o client.Object, _ ...client.GetOption) error {
	switch o := o.(type) {
	case *corev1.Secret:
		c.record.DeepCopyInto(o)
		return nil
	case *v1alpha1.PairingCode:
		c.code.DeepCopyInto(o)
		return nil
	case *v1alpha1.Node:
		if node := c.nodes[key.Name]; node != nil {
			node.DeepCopyInto(o)
			return nil
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func (c *oneCode) List(context.Context, client.ObjectList, ...client.ListOption) error { return nil }

func (c *oneCode) Update(_ context.Context, o client.Object, _ ...client.UpdateOption) error {
	secret, ok := o.(*corev1.Secret)
	if !ok || c.writeErr != nil {
		return errors.Join(errors.New("refused"), c.writeErr)
	}
	c.record = secret.DeepCopy()
	return nil
}

func (c *oneCode) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	c.created = append(c.created, o.GetName())
	return cmp.Or(c.createErr, c.writeErr)
}

func (c *oneCode) tries() string { return string(c.record.Data[v1alpha1.RecordKeyTriesUsed]) }

// attempt is one exchange with a code, up to the confirmation of the machine.
type attempt struct {
	*Service
	begun        exchange
	claims       machineClaims
	connection   peer.Connection
	confirmation []byte
}

// startAttempt starts an exchange of a key with a PIN, up to the confirmation.
func startAttempt(t *testing.T, store *oneCode, key, pin string) attempt {
	t.Helper()
	bundle := func() identity.Bundle { return identity.Bundle{} }
	a := attempt{
		Service:    New(Options{Client: store, Live: store, Bundle: bundle, Clock: clocktesting.NewFakePassiveClock(testTime), Rand: rand.Reader, MaxPending: 1, Log: logr.Discard()}),
		connection: peer.Connection{Address: netip.MustParseAddr("192.0.2.1"), Exporter: make([]byte, spake.ExporterLength)},
		claims:     machineClaims{publicKeySHA256: key, nodeName: "box"},
	}
	agent, err := spake.NewAgent(spake.PasswordScalar("ZZZZZZ", pin), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.begun = exchange{exporter: a.connection.Exporter, lookupID: "ZZZZZZ", nodeName: "box", share: agent.Share()}
	share, err := a.startExchange(t.Context(), &a.begun)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := agent.Finish(share, spake.AAD(a.connection.Exporter, "ZZZZZZ", key, a.begun.bundle.SHA256()))
	if err != nil {
		t.Fatal(err)
	}
	a.confirmation = keys.Confirmation()
	return a
}

func (a attempt) verifyAttempt(ctx context.Context) (record, error) {
	stored, _, err := a.verifyConfirmation(ctx, a.connection, a.begun, a.claims, a.confirmation)
	return stored, err
}

const keyOfBox, foreignKey = "aaaaaaaa", "bbbbbbbb"

func TestATryIsStoredBeforeAConfirmationIsVerified(t *testing.T) {
	for name, pin := range map[string]string{"wrong": "000000", "right": "123456"} {
		store := newOneCode()
		_, err := startAttempt(t, store, keyOfBox, pin).verifyAttempt(t.Context())
		if (err == nil) != (pin == "123456") || store.tries() != "1" {
			t.Errorf("%s PIN: %v, %s tries used", name, err, store.tries())
		}
		store = newOneCode()
		a := startAttempt(t, store, keyOfBox, pin)
		store.writeErr = errors.New("the API server is away")
		if _, err := a.verifyAttempt(t.Context()); err == nil || errors.Is(err, errRecordNotFound) || len(a.failures.bySource) != 0 {
			t.Errorf("%s PIN, the try is not stored: %v, and the PIN was checked %d times", name, err, len(a.failures.bySource))
		}
	}
}

func TestACodeHasThreeTriesForOneKey(t *testing.T) {
	store := newOneCode()
	for used := range v1alpha1.MaxPairingTries {
		if _, err := startAttempt(t, store, keyOfBox, "000000").verifyAttempt(t.Context()); !errors.Is(err, errRecordNotFound) || store.tries() != strconv.Itoa(used+1) {
			t.Fatalf("wrong PIN %d: %v, %s tries used", used+1, err, store.tries())
		}
	}
	if r, err := parseRecord(store.record); err != nil || r.isUsable(testTime) {
		t.Errorf("a code without tries is open: %v", err)
	}
	store.record.Data[v1alpha1.RecordKeyTriesUsed] = []byte("0")
	store.record.Data[v1alpha1.RecordKeyConsumedBy] = []byte(keyOfBox)
	if _, err := startAttempt(t, store, foreignKey, "123456").verifyAttempt(t.Context()); !errors.Is(err, errRecordNotFound) || store.tries() != "0" {
		t.Errorf("a used code for another key: %v, %s tries used", err, store.tries())
	}
	if _, err := startAttempt(t, store, keyOfBox, "123456").verifyAttempt(t.Context()); err != nil {
		t.Errorf("a used code for its key: %v", err)
	}
}

// A right confirmation returns its try, whatever follows: a refusal is no wrong guess.
func TestARightConfirmationCostsNoTry(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*oneCode, *attempt)
		want  codes.Code
	}{
		"a request is made":             {func(*oneCode, *attempt) {}, codes.OK},
		"the name is another key's":     {func(c *oneCode, _ *attempt) { c.nodes["box"] = &v1alpha1.Node{} }, codes.AlreadyExists},
		"too many requests are waiting": {func(_ *oneCode, a *attempt) { a.options.MaxPending = 0 }, codes.ResourceExhausted},
	} {
		t.Run(name, func(t *testing.T) {
			store := newOneCode()
			a := startAttempt(t, store, keyOfBox, "123456")
			test.spoil(store, &a)
			stored, err := a.verifyAttempt(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.enroll(t.Context(), "ZZZZZZ", stored, a.claims, "transcript"); status.Code(err) != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if store.tries() != "0" || (test.want == codes.OK) != (len(store.created) == 1) {
				t.Errorf("%s tries used, requests %v", store.tries(), store.created)
			}
		})
	}
}

// The first key to consume a code keeps it, even when another key has verified the code meanwhile.
func TestACodeIsConsumedByOneKey(t *testing.T) {
	store := newOneCode()
	first, second := startAttempt(t, store, keyOfBox, "123456"), startAttempt(t, store, foreignKey, "123456")
	for _, a := range []attempt{first, second} {
		if _, err := a.verifyAttempt(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if name, err := first.records.consume(t.Context(), "ZZZZZZ", keyOfBox, "first"); err != nil || name != "first" {
		t.Fatalf("the first key: %q, %v", name, err)
	}
	if name, err := second.records.consume(t.Context(), "ZZZZZZ", foreignKey, "second"); !errors.Is(err, errRecordNotFound) || name != "" {
		t.Errorf("a key that came later: %q, %v", name, err)
	}
	if name, err := first.records.consume(t.Context(), "ZZZZZZ", keyOfBox, "again"); err != nil || name != "first" {
		t.Errorf("the first key again: %q, %v", name, err)
	}
	if holder := string(store.record.Data[v1alpha1.RecordKeyConsumedBy]); holder != keyOfBox || store.tries() != "0" {
		t.Errorf("consumed by %q, %s tries used", holder, store.tries())
	}
}

func TestOnlyAnAdmittedKeyOfALiveNodeRecovers(t *testing.T) {
	lapsed := identity.Peer{ID: identity.ID{Namespace: "fleet", Node: "box"}, PublicKeySHA256: keyOfBox}
	for name, test := range map[string]struct {
		node *v1alpha1.Node
		ok   bool
	}{
		"the pinned key":   {&v1alpha1.Node{Spec: v1alpha1.NodeSpec{PublicKeySHA256: keyOfBox}}, true},
		"the next key":     {&v1alpha1.Node{Spec: v1alpha1.NodeSpec{PublicKeySHA256: foreignKey, NextPublicKeySHA256: keyOfBox}}, true},
		"a key before":     {&v1alpha1.Node{Spec: v1alpha1.NodeSpec{PublicKeySHA256: foreignKey}}, false},
		"a revoked Node":   {&v1alpha1.Node{Spec: v1alpha1.NodeSpec{PublicKeySHA256: keyOfBox, DesiredState: v1alpha1.NodeRevoked}}, false},
		"a Node not there": {nil, false},
	} {
		store := newOneCode()
		if test.node != nil {
			store.nodes["box"] = test.node
		}
		s := New(Options{Client: store, Live: store, Clock: clocktesting.NewFakePassiveClock(testTime)})
		if _, err := s.getRecoverableNode(t.Context(), lapsed); test.ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
