package mediation

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memoryStore is an AnswerStore without a disk.
type memoryStore struct {
	mu    sync.Mutex
	steps []string
	fails error
}

func (m *memoryStore) StoreQuestion(user string, _ time.Time) error {
	return m.addStep("asked " + user)
}
func (m *memoryStore) StoreAnswer(allowed bool, by string) error {
	if allowed {
		return m.addStep("yes by " + by)
	}
	return m.addStep("no by " + by)
}

func (m *memoryStore) addStep(step string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails != nil && !strings.HasPrefix(step, "asked") {
		return m.fails
	}
	m.steps = append(m.steps, step)
	return nil
}

func newQueue(t *testing.T, policy string) *ApprovalQueue {
	t.Helper()
	rules, err := parseRules([]byte(policy))
	if err != nil {
		t.Fatal(err)
	}
	return &ApprovalQueue{Rules: func() (*Rules, error) { return rules, nil }, User: "ann", Now: time.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func newQuestion(uid string) Question {
	return Question{Namespace: "fleet", Name: "d-" + uid, UID: uid, Capability: "desktop.open_url", Target: "https://example.com/", RequestedBy: "bob", MediationRequired: true}
}

func TestTheFirstAnswerStandsAndIsRecordedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, record := newQueue(t, ""), &memoryStore{}
		decided := make(chan error, 1)
		go func() { decided <- d.Decide(t.Context(), newQuestion("u"), record) }()
		synctest.Wait()
		if _, err := d.Answer("nobody", true, "ann"); !errors.Is(err, ErrNoQuestion) {
			t.Errorf("an unknown name: %v", err)
		}
		if _, err := d.Answer("d-u", false, "ann"); err != nil {
			t.Error(err)
		}
		if _, err := d.Answer("u", true, "ann"); !errors.Is(err, ErrNoQuestion) {
			t.Errorf("a second answer: %v", err)
		}
		denied := (*Denied)(nil)
		if err := <-decided; !errors.As(err, &denied) || strings.Join(record.steps, ",") != "asked ann,no by ann" {
			t.Errorf("%v, %v", err, record.steps)
		}
		// An answer that cannot be recorded has no effect.
		record = &memoryStore{fails: errors.New("disk full")}
		go func() { decided <- d.Decide(t.Context(), newQuestion("v"), record) }()
		synctest.Wait()
		if _, err := d.Answer("v", true, "ann"); err == nil {
			t.Error("an answer that is not on disk was confirmed")
		}
		if err := <-decided; err == nil {
			t.Error("an answer that is not on disk took effect")
		}
	})
}
