package mediation

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mooring-dev/mooring/nodeagent/ownfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Record without a disk.
type memory struct {
	mu    sync.Mutex
	steps []string
	fails error
}

func (m *memory) Asked(user string, _ time.Time) error { return m.note("asked " + user) }
func (m *memory) Answered(allowed bool, by string) error {
	if allowed {
		return m.note("yes by " + by)
	}
	return m.note("no by " + by)
}

func (m *memory) note(step string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails != nil && !strings.HasPrefix(step, "asked") {
		return m.fails
	}
	m.steps = append(m.steps, step)
	return nil
}

func deskOf(t *testing.T, policy string) *Desk {
	t.Helper()
	rules, err := parseRules([]byte(policy))
	if err != nil {
		t.Fatal(err)
	}
	return &Desk{Rules: func() (*Rules, error) { return rules, nil }, User: "ann", Now: time.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func question(uid string) Question {
	return Question{Namespace: "fleet", Name: "d-" + uid, UID: uid, Capability: "desktop.open_url", Target: "https://example.com/", RequestedBy: "bob", Needed: true}
}

func TestTheFirstRuleThatFitsDecides(t *testing.T) {
	rules, err := parseRules([]byte(`
timeout: 90s
rules:
- {capability: desktop.open_url, target: "https://bad.example.com/**", decision: deny}
- {capability: desktop.open_url, target: "https://*.example.com/**", decision: allow}
- {capability: desktop.open_url, target: "https://one.net/a*", decision: allow}
- {capability: own.*, decision: ask}
- {capability: echo, decision: deny}
`))
	if err != nil || rules.timeout != 90*time.Second {
		t.Fatal(err, rules)
	}
	for _, c := range []struct {
		capability, target string
		needed             bool
		want               Verdict
	}{
		{"desktop.open_url", "https://a.example.com/x/y", true, Allow},
		{"desktop.open_url", "https://bad.example.com/x", true, Deny},
		{"desktop.open_url", "https://evil.net/.example.com/x", true, Ask},
		{"desktop.open_url", "https://evil.net/?.example.com/x", true, Ask},
		{"desktop.open_url", "https://one.net/abc", true, Allow},
		{"desktop.open_url", "https://one.net/a/c", true, Ask},
		{"desktop.open_url", "xhttps://one.net/a", true, Ask},
		{"desktop.open_urls", "https://a.example.com/", true, Ask},
		{"own.x", "y\nz", false, Ask},
		{"ownx", "y", false, Allow},
		{"echo", "{}", false, Deny},
		{"system.health", "{}", false, Allow},
		{"other", "", true, Ask},
	} {
		if got := rules.judge(Question{Capability: c.capability, Target: c.target, Needed: c.needed}); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.capability, c.target, got, c.want)
		}
	}
	for _, broken := range []string{"rules: [{capability: a, decision: yes}]", "rules: [{decision: ask}]", "timeout: soon", "rule: []", "rules: [{capability: a*, decision: ask}]", "rules: [{capability: '*.a', decision: ask}]", "timeout: -1s"} {
		if _, err := parseRules([]byte(broken)); err == nil {
			t.Errorf("%s is taken", broken)
		}
	}
}

func TestAPolicyOthersCanWriteRefusesEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mediation.yaml")
	if err := errors.Join(os.WriteFile(path, []byte("rules: [{capability: '*', decision: allow}]"), 0o600), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	d := deskOf(t, "")
	d.Rules = func() (*Rules, error) { return LoadRules(path) }
	denied := (*Denied)(nil)
	if err := d.Decide(t.Context(), question("u"), &memory{}); !errors.As(err, &denied) || denied.Code != CodeDenied {
		t.Errorf("got %v", err)
	}
}

func TestTheFirstAnswerStandsAndIsRecordedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, record := deskOf(t, ""), &memory{}
		decided := make(chan error, 1)
		go func() { decided <- d.Decide(t.Context(), question("u"), record) }()
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
		// An answer that cannot be recorded is not followed.
		record = &memory{fails: errors.New("disk full")}
		go func() { decided <- d.Decide(t.Context(), question("v"), record) }()
		synctest.Wait()
		if _, err := d.Answer("v", true, "ann"); err == nil {
			t.Error("an answer that is not on disk was confirmed")
		}
		if err := <-decided; err == nil {
			t.Error("and followed")
		}
	})
}

func TestAPersonAtTheTerminalSeesEverythingAndAnswers(t *testing.T) {
	d, record := deskOf(t, ""), &memory{}
	q := question("u")
	q.RequestedBy, q.Target = "bob\x1b[2J\u202eecila", strings.Repeat("x", 5000)+"\n\rAllowed by admin"
	ctx, cancel := context.WithCancel(t.Context())
	in, typed := io.Pipe()
	shown, out := io.Pipe()
	var running sync.WaitGroup
	running.Go(func() { d.Prompt(ctx, in, out, "ann"); out.Close() })
	decided := make(chan error, 1)
	go func() { decided <- d.Decide(ctx, q, record) }()
	text := readUntil(t, shown, "[y/N] ")
	for _, want := range []string{`bob\x1b[2J\u202eecila asks to run desktop.open_url`, strings.Repeat("x", 5000) + `\n\rAllowed by admin`, "fleet/d-u"} {
		if !strings.Contains(text, want) {
			t.Errorf("%.60q is not shown in %.300q", want, text)
		}
	}
	if strings.ContainsAny(text, "\x1b\r\u202e") {
		t.Error("control characters reach the terminal")
	}
	go func() { _, _ = io.WriteString(typed, "what?\nY\n") }()
	readUntil(t, shown, "answer y or n: ")
	readUntil(t, shown, "Allowed.\n")
	if err := <-decided; err != nil || strings.Join(record.steps, ",") != "asked ann,yes by ann" {
		t.Errorf("%v, %v", err, record.steps)
	}
	cancel()
	in.Close()
	running.Wait()
}

func readUntil(t *testing.T, from io.Reader, want string) string {
	t.Helper()
	var text strings.Builder
	buffer := make([]byte, 4096)
	for !strings.HasSuffix(text.String(), want) {
		n, err := from.Read(buffer)
		if err != nil {
			t.Fatalf("%v after %q", err, text.String())
		}
		text.Write(buffer[:n])
	}
	return text.String()
}

// served is a server with one open question; it is answered to decided.
func served(t *testing.T) (dir string, decided chan error) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "run")
	d := deskOf(t, "")
	s, err := Listen(dir, d, d.Log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Serve(ctx) })
	decided = make(chan error, 1)
	running.Go(func() { decided <- d.Decide(ctx, question("u"), &memory{}) })
	t.Cleanup(func() { cancel(); running.Wait() })
	for {
		open, changed := d.Questions()
		if len(open) == 1 {
			return dir, decided
		}
		<-changed
	}
}

func TestAnswersOverTheSocket(t *testing.T) {
	dir, decided := served(t)
	c := Client{SocketPath(dir)}
	watching, stop := context.WithCancel(t.Context())
	seen := make(chan int, 8)
	watched := make(chan error, 1)
	go func() { watched <- c.Watch(watching, func(q []Question) { seen <- len(q) }) }()
	if n := <-seen; n != 1 {
		t.Errorf("watch shows %d", n)
	}
	open, err := c.List(t.Context())
	if err != nil || len(open) != 1 || open[0].Target != "https://example.com/" {
		t.Errorf("%v, %v", open, err)
	}
	if q, err := c.Answer(t.Context(), "d-u", true); err != nil || q.UID != "u" {
		t.Errorf("%v, %v", q, err)
	}
	if err := <-decided; err != nil {
		t.Error(err)
	}
	if n := <-seen; n != 0 {
		t.Errorf("watch shows %d after the answer", n)
	}
	stop()
	if err := <-watched; err != nil {
		t.Error(err)
	}
	if _, err := c.Answer(t.Context(), "d-u", true); err == nil || !strings.Contains(err.Error(), "no such question") {
		t.Errorf("a second answer: %v", err)
	}
	if _, err := (Client{dir + "/none"}).List(t.Context()); !errors.Is(err, ErrNoAgent) {
		t.Errorf("no agent: %v", err)
	}
}

// TestAnotherUserIsRefused lets nobody in by mode alone: the socket is opened up on purpose,
// and still the kernel's word about the peer keeps the other user out.
func TestAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	python, err := exec.LookPath("/usr/bin/python3")
	if err != nil {
		t.Skip("needs python3, as a client that can change its user")
	}
	dir, decided := served(t)
	for path := filepath.Dir(SocketPath(dir)); path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(SocketPath(dir), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", `import socket,sys
s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
try: s.sendall(b'{"op":"allow","name":"u"}\n')
except BrokenPipeError: pass
print(s.makefile().readline())`, SocketPath(dir))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if !strings.Contains(string(out), "only the user of the agent") {
		t.Errorf("another user got %s, %v", out, err)
	}
	select {
	case err := <-decided:
		t.Errorf("another user decided: %v", err)
	default:
	}
}

func TestASocketOthersCanReachIsNotUsed(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"folder": func(dir string) error { return os.Chmod(dir, 0o755) },
		"socket": func(dir string) error { return os.Chmod(SocketPath(dir), 0o644) },
	} {
		dir := filepath.Join(t.TempDir(), "run")
		d := deskOf(t, "")
		s, err := Listen(dir, d, d.Log)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(SocketPath(dir)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the socket has mode %v, %v", info.Mode(), err)
		}
		s.listener.SetUnlinkOnClose(false) // as after a crash
		s.listener.Close()
		if again, err := Listen(dir, d, d.Log); err != nil {
			t.Errorf("after a crash: %v", err)
		} else {
			again.listener.SetUnlinkOnClose(false)
			again.listener.Close()
		}
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(dir, d, d.Log); !errors.Is(err, ownfile.ErrLoose) || !strings.Contains(err.Error(), "chmod") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
