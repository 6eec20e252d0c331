//go:build unix

package desktop

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/mediation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeOpener replaces the real opener by a program that records its arguments.
func fakeOpener(t *testing.T) (opener *Opener, record string) {
	t.Helper()
	dir := t.TempDir()
	record = filepath.Join(dir, "record")
	script := "#!/bin/sh\nprintf '%s\\n' $# \"$@\" >" + record + ".new\nenv >" + record + ".env\nmv " + record + ".new " + record + "\n"
	must(t, os.WriteFile(filepath.Join(dir, openers["linux"][0]), []byte(script), 0o755))
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	t.Setenv("DISPLAY", ":7")
	t.Setenv("MOORING_PAIRING_CODE", "secret")
	return FindOpener(), record
}

func newEntry(t *testing.T, opener *Opener, name string) *capability.Entry {
	t.Helper()
	r, err := capability.NewRegistry(Capabilities(opener, func() (*mediation.Rules, error) { return mediation.LoadRules(filepath.Join(t.TempDir(), "none")) })...)
	must(t, err)
	e, _ := r.Get(name)
	return e
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestAURLArrivesAsOneArgument(t *testing.T) {
	opener, record := fakeOpener(t)
	e := newEntry(t, opener, "desktop.open_url")
	input := json.RawMessage(`{"url":"https://EXAMPLE.com/?a=$(id)&b=';x'#--flag"}`)
	must(t, e.CheckInput(input))
	target, err := e.Target(input)
	must(t, err)
	t.Setenv("PATH", "/nowhere") // the opener was looked up at the start
	got, err := e.Run(t.Context(), capability.Request{Input: input, Target: target})
	if err != nil || !strings.Contains(string(got), `"opened"`) {
		t.Fatalf("%s, %v", got, err)
	}
	content, err := os.ReadFile(record)
	if want := "1\nhttps://example.com/?a=$(id)&b=';x'#--flag\n"; err != nil || string(content) != want {
		t.Errorf("the opener got %q, %v", content, err)
	}
	environment, err := os.ReadFile(record + ".env")
	if err != nil || strings.Contains(string(environment), "secret") || !strings.Contains(string(environment), "DISPLAY=:7") {
		t.Errorf("its environment is %s, %v", environment, err)
	}
}

func TestOnlyWhatWasShownIsOpened(t *testing.T) {
	opener, record := fakeOpener(t)
	e := newEntry(t, opener, "desktop.open_path")
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	one, two, link := filepath.Join(dir, "one.txt"), filepath.Join(dir, "two.txt"), filepath.Join(dir, "link")
	must(t, os.WriteFile(one, nil, 0o600), os.WriteFile(two, nil, 0o600), os.Symlink(one, link))
	input, err := json.Marshal(map[string]string{"path": link})
	must(t, err)
	target, err := e.Target(input)
	if err != nil || target != one {
		t.Fatalf("a link is shown as %q, %v", target, err)
	}
	must(t, os.Remove(link), os.Symlink(two, link))
	if _, err := e.Run(t.Context(), capability.Request{Input: input, Target: target}); err == nil || !strings.Contains(err.Error(), "TargetChanged") {
		t.Errorf("the link has another target: %v", err)
	}
	if _, err := os.Stat(record); err == nil {
		t.Error("something was opened")
	}
}

func TestPathsThatAreNotShown(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, nil, mode))
		return path
	}
	fifo := filepath.Join(dir, "fifo")
	must(t, syscall.Mkfifo(fifo, 0o600), os.Symlink(file("x.desktop", 0o600), filepath.Join(dir, "innocent.txt")))
	for path, accepted := range map[string]bool{
		file("plain.pdf", 0o644): true, dir: true,
		file("run.pdf", 0o755): false, file("script.SH", 0o644): false, filepath.Join(dir, "innocent.txt"): false, fifo: false,
		"": false, "plain.pdf": false, "-x": false, "~/x": false, "/does/not/exist": false, dir + "/../x": false, dir + "/": false,
		file("a\nb", 0o600): false, file("a\u202eb", 0o600): false, "/dev/null": false, "file:///etc/passwd": false,
	} {
		if got, err := CanonicalPath(path); (err == nil) != accepted {
			t.Errorf("%q: %q, %v", path, got, err)
		}
	}
}

func TestWithoutAnOpenerOrADisplayItSaysWhy(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if got := FindOpener().UnavailableReason(); !strings.Contains(got, "PATH") {
		t.Errorf("no opener: %q", got)
	}
	fakeOpener(t)
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	if got := newEntry(t, FindOpener(), "desktop.open_url").Unavailable(); !strings.Contains(got, "DISPLAY") {
		t.Errorf("no display: %q", got)
	}
}

func TestAnOpenerThatFailsIsSaid(t *testing.T) {
	opener, _ := fakeOpener(t)
	must(t, os.WriteFile(opener.argv[0], []byte("#!/bin/sh\nexit 3\n"), 0o755))
	e := newEntry(t, opener, "desktop.open_url")
	start := time.Now()
	_, err := e.Run(t.Context(), capability.Request{Input: json.RawMessage(`{"url":"https://example.com/"}`), Target: "https://example.com/"})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || time.Since(start) > launchWait {
		t.Errorf("got %v", err)
	}
}
