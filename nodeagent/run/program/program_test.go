package program

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mooring-dev/mooring/internal/jsontext"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runAsLine returns the runAs line that a test's capability file needs.
func runAsLine() string {
	if os.Geteuid() == 0 {
		return "runAs: root\n"
	}
	return ""
}

// writeCapabilityFile writes a capability file into a test's folder.
func writeCapabilityFile(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name+fileSuffix)
	if err := os.WriteFile(path, []byte("name: "+name+"\ndescription: A test.\n"+content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loadEntry returns the program in the form that the executor uses.
func loadEntry(t *testing.T, content string) *capability.Entry {
	t.Helper()
	p, err := Load(writeCapabilityFile(t, t.TempDir(), "own.test", runAsLine()+content))
	if err != nil {
		t.Fatal(err)
	}
	r, err := capability.NewRegistry(p)
	if err != nil {
		t.Fatal(err)
	}
	e, _ := r.Get("own.test")
	return e
}

func runEntry(t *testing.T, e *capability.Entry, input string) (json.RawMessage, error) {
	t.Helper()
	return e.Run(t.Context(), capability.Request{DispatchUID: "uid", RunID: t.Name() + "/uid", Input: json.RawMessage(input), RequestedBy: "ann\x1b[2J", MaxOutputBytes: 1 << 16,
		Progress: func(int, string) {}})
}

const oneText = `
inputSchema: {type: object, additionalProperties: false, properties: {text: {type: string}}}
`

// TestInjection verifies that each text arrives as exactly one argument, or is refused before the
// run.
func TestInjection(t *testing.T) {
	bare := loadEntry(t, "argv: [/usr/bin/printf, '[%s]', {parameter: text}]"+oneText)
	prefixed := loadEntry(t, "argv: [/usr/bin/printf, '[%s]', {parameter: text, prefix: --text=}]"+oneText)
	for text, refused := range map[string]bool{
		"$(id)": false, "`id`": false, "; id": false, "| id": false, "& id": false, "a\nb": false, "a\r\nb": false, "$HOME": false, "${IFS}": false,
		"*": false, "~": false, "'; id; '": false, `"; id; "`: false, `\`: false, "%s%n": false, "": false, " ": false, "a b": false, "\u202e": false,
		"--flag": true, "-": true, "-rf /": true, "a\x00b": true, strings.Repeat("x", 128<<10): true,
	} {
		input, err := json.Marshal(map[string]string{"text": text})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			e       *capability.Entry
			prefix  string
			refused bool
		}{{bare, "", refused}, {prefixed, "--text=", refused && !strings.HasPrefix(text, "-")}} {
			if err := c.e.CheckInput(input); (err != nil) != c.refused {
				t.Errorf("%.20q after %q: %v", text, c.prefix, err)
			}
			if c.refused {
				continue
			}
			want, _ := jsontext.Marshal("[" + c.prefix + text + "]")
			if got, err := runEntry(t, c.e, string(input)); err != nil || string(got) != string(want) {
				t.Errorf("%.20q after %q arrives as %s, %v", text, c.prefix, got, err)
			}
		}
	}
}

func TestAProgramSeesItsInputAndACleanEnvironment(t *testing.T) {
	t.Setenv("MOORING_PAIRING_CODE", "secret")
	t.Setenv("LANG", "de_DE")
	t.Setenv("OTHER", "other")
	e := loadEntry(t, "argv: [/bin/sh, -c, 'cat; env']\ninputSchema: {type: object}\nenvironment: {allow: [LANG, MISSING], set: {MODE: fast}}\n")
	got, err := runEntry(t, e, `{"a":[1,"ü"]}`)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	if err := json.Unmarshal(got, &text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"a":[1,"ü"]}`, "PATH=" + searchPath + "\n", "LANG=de_DE\n", "MODE=fast\n", "MOORING_DISPATCH_UID=uid\n", `MOORING_REQUESTED_BY=ann\x1b[2J` + "\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %s", want, text)
		}
	}
	if strings.Contains(text, "secret") || strings.Contains(text, "other") {
		t.Errorf("variables of the agent leak: %s", text)
	}
}

func TestHowAProgramEndsIsSaid(t *testing.T) {
	for script, want := range map[string]string{
		"echo no disk >&2; exit 3": "exit status 3; it said: no disk",
		"echo half; exit 1":        "exit status 1; it said: half",
		"kill -9 $$":               "signal: killed",
	} {
		_, err := runEntry(t, loadEntry(t, "argv: [/bin/sh, -c, '"+script+"']"), `{}`)
		chosen := (*capability.Error)(nil)
		if !errors.As(err, &chosen) || chosen.Code != "CapabilityFailed" || !strings.Contains(chosen.Message, want) {
			t.Errorf("%s: %v, want %q", script, err, want)
		}
	}
}

func TestOutputIsReadAsDeclared(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"text":            {`argv: [/usr/bin/printf, '{"a":1}']`, `"{\"a\":1}"`},
		"JSON":            {`{argv: [/usr/bin/printf, ' {"a": 1}\n'], output: json}`, `{"a": 1}`},
		"no UTF-8":        {`argv: [/usr/bin/printf, 'a\377b']`, "\"a\uFFFDb\""},
		"nothing as JSON": {`{argv: [/bin/true], output: json}`, ""},
	} {
		content := c.file
		if inner, ok := strings.CutPrefix(content, "{argv: "); ok {
			content = "argv: " + strings.Replace(strings.TrimSuffix(inner, "}"), "], ", "]\n", 1)
		}
		got, err := runEntry(t, loadEntry(t, content), `{}`)
		if (err == nil) != (c.want != "") || string(got) != c.want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	e := loadEntry(t, "argv: [/usr/bin/yes]")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := e.Run(ctx, capability.Request{Input: json.RawMessage(`{}`), MaxOutputBytes: 10}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a program that writes forever: %v", err)
	}
	got, err := loadEntry(t, "argv: [/usr/bin/printf, '%050d', 1]").Run(t.Context(), capability.Request{Input: json.RawMessage(`{}`), MaxOutputBytes: 10})
	if kept, cut := capability.TruncateOutput(got, 10); err != nil || !cut || string(kept) != `"00000000"` {
		t.Errorf("over the bound: %s, %t, %v", kept, cut, err)
	}
}

func TestAPersonSeesTheWholeCommand(t *testing.T) {
	e := loadEntry(t, "argv: [/usr/bin/printf, {parameter: text}]"+oneText)
	if got, err := e.Target(json.RawMessage(`{"text":"a b\nc"}`)); err != nil || got != `/usr/bin/printf "a b\nc" < {"text":"a b\nc"}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestABrokenFileDisablesOnlyItselfAndSaysWhy(t *testing.T) {
	dir := t.TempDir()
	loose := writeCapabilityFile(t, dir, "own.loose", runAsLine()+"argv: [/bin/true]")
	if err := os.Chmod(loose, 0o666); err != nil {
		t.Fatal(err)
	}
	cases := map[string][2]string{
		"own.good":     {runAsLine() + "argv: [/bin/true]", ""},
		"own.yaml":     {"argv: [", "read the file"},
		"own.unknown":  {runAsLine() + "argv: [/bin/true]\nshell: true", "shell"},
		"own.relative": {runAsLine() + "argv: [true]", "absolute path"},
		"own.missing":  {runAsLine() + "argv: [/does/not/exist]", "does not exist"},
		"own.noexec":   {runAsLine() + "argv: [/etc/passwd]", "not a program"},
		"own.schema":   {runAsLine() + "argv: [/bin/true]\ninputSchema: {type: objekt}", "inputSchema"},
		"own.param":    {runAsLine() + "argv: [/bin/true, {parameter: x}]", "not a property"},
		"own.arg":      {runAsLine() + "argv: [/bin/true, {param: x}]", "unknown"},
		"own.timeout":  {runAsLine() + "argv: [/bin/true]\ntimeout: soon", "10m"},
		"own.mediate":  {runAsLine() + "argv: [/bin/true]\nmediation: maybe", "neither none nor local"},
		"own.output":   {runAsLine() + "argv: [/bin/true]\noutput: xml", "neither text nor json"},
		"own.path":     {runAsLine() + "argv: [/bin/true]\nenvironment: {set: {PATH: /tmp}}", "PATH cannot"},
		"own.secret":   {runAsLine() + "argv: [/bin/true]\nenvironment: {allow: [MOORING_PAIRING_CODE]}", "cannot be set or allowed"},
		"own.user":     {"argv: [/bin/true]\nrunAs: nobody-such", "runAs"},
		"own.escape":   {runAsLine() + "argv: [/bin/true] # \x1b[2J", "cannot be shown"},
		"own.loose":    {"", "chmod go-w"},
	}
	if os.Geteuid() == 0 {
		cases["own.norunas"] = [2]string{"argv: [/bin/true]", "runAs is missing"}
	}
	for name, c := range cases {
		if name != "own.loose" {
			writeCapabilityFile(t, dir, name, c[0])
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "own.renamed.yaml"), []byte("name: other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases["own.renamed"] = [2]string{"", `name is "other"`}
	r, err := capability.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	(&Folder{Dir: dir, Registry: r, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}).Reload()
	for name, c := range cases {
		e, ok := r.Get(name)
		if !ok {
			t.Errorf("%s is not in the inventory", name)
			continue
		}
		if reason := e.Unavailable(); (reason == "") != (c[1] == "") || !strings.Contains(reason, c[1]) || len(reason) > 256 {
			t.Errorf("%s: %q, want %q", name, reason, c[1])
		}
	}
}

func TestAFolderOthersCanWriteIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	writeCapabilityFile(t, dir, "own.a", runAsLine()+"argv: [/bin/true]")
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if programs, err := LoadAll(dir); err == nil || len(programs) != 0 {
		t.Errorf("%d programs, %v", len(programs), err)
	}
}

func TestAChangeInTheFolderIsSeen(t *testing.T) {
	dir := t.TempDir()
	r, err := capability.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	f := &Folder{Dir: dir, Registry: r, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	f.Reload()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.Watch(ctx) }()
	defer func() { cancel(); <-done }()
	await := func(condition string, ok func() bool) {
		t.Helper()
		deadline := time.After(20 * time.Second)
		for {
			_, changed := r.All()
			if ok() {
				return
			}
			select {
			case <-changed:
			case <-deadline:
				t.Fatalf("never: %s", condition)
			}
		}
	}
	available := func(want bool) func() bool {
		return func() bool { e, ok := r.Get("own.a"); return ok && (e.Unavailable() == "") == want }
	}
	path := writeCapabilityFile(t, dir, "own.a", runAsLine()+"argv: [/bin/true]")
	await("the capability is registered", available(true))
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	await("loose permissions disable it", available(false))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	await("the capability is removed", func() bool { _, ok := r.Get("own.a"); return !ok })
}

func TestAProgramRunsAsTheUserItsFileNames(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	p, err := Load(writeCapabilityFile(t, t.TempDir(), "own.test", "argv: [/usr/bin/id, -un]\nrunAs: nobody\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Run(t.Context(), capability.Request{Input: json.RawMessage(`{}`), MaxOutputBytes: 100}); err != nil || string(got) != `"nobody\n"` {
		t.Errorf("%s, %v", got, err)
	}
}
