//go:build linux

package cli

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/nodeagent/run/desktop"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// trustedFiles has a row for each kind of file that controls the agent. (Package enroll tests the
// token of a pod.) The function obey writes the file and makes the agent use it; it returns the
// agent's error.
var trustedFiles = map[string]struct {
	name string
	obey func(t *testing.T, path string) error
}{
	"configuration file": {"config.yaml", func(t *testing.T, path string) error {
		writeFile(t, path, "name: box\n", 0o600)
		return runCommand(t, "config", "validate", path)
	}},
	"mediation policy": {"mediation.yaml", func(t *testing.T, path string) error {
		writeFile(t, path, "rules: []\n", 0o600)
		// The agent accepts the policy and then needs a code.
		return allowExitCode(exitUsage, runCommand(t, "run", "--identity-dir", filepath.Join(t.TempDir(), "id"), "--name", "box", "--mediation-policy", path))
	}},
	"capability file": {"own.a.yaml", func(t *testing.T, path string) error {
		writeFile(t, path, capabilityFile("own.a", "/bin/true"), 0o600)
		return runCommand(t, "capabilities", "validate", path)
	}},
	"capabilities folder": {"own.a.yaml", func(t *testing.T, path string) error {
		writeFile(t, path, capabilityFile("own.a", "/bin/true"), 0o600)
		code, out, errOut := execute(t, t.Context(), "", "capabilities", "list", "--capabilities-dir", filepath.Dir(path))
		if code == exitOK && strings.Contains(out, "true") {
			return nil
		}
		return fmt.Errorf("exit %d: %s%s", code, out, errOut)
	}},
	"program of a capability": {"program", func(t *testing.T, path string) error {
		copyProgram(t, "/bin/true", path)
		return runCommand(t, "capabilities", "validate", writeFile(t, filepath.Join(t.TempDir(), "own.a.yaml"), capabilityFile("own.a", path), 0o600))
	}},
	"interpreter of a script": {"interpreter", func(t *testing.T, path string) error {
		copyProgram(t, "/bin/sh", path)
		script := writeFile(t, filepath.Join(t.TempDir(), "script"), "#!"+path+"\n", 0o755)
		return runCommand(t, "capabilities", "validate", writeFile(t, filepath.Join(t.TempDir(), "own.a.yaml"), capabilityFile("own.a", script), 0o600))
	}},
	"opener": {"xdg-open", func(t *testing.T, path string) error {
		copyProgram(t, "/bin/true", path)
		t.Setenv("PATH", filepath.Dir(path))
		t.Setenv("DISPLAY", ":7")
		if missing := desktop.FindOpener().UnavailableReason(); missing != "" {
			return errors.New(missing)
		}
		return nil
	}},
	"program of the service": {"mooring-agent", func(t *testing.T, path string) error {
		l := newLaptop(t)
		copyProgram(t, l.program, path)
		l.program = path
		code, out := l.run("install", "--pairing", l.gateway.PairingEndpoint, "--code", fakegateway.Code.String())
		_, err := os.Stat(filepath.Join(l.services.Dir, "definition"))
		if registered := err == nil; registered != (code == exitOK) {
			t.Errorf("exit %d, registered: %t", code, registered)
		}
		if _, err := os.Stat(l.dir()); code != exitOK && err == nil {
			t.Error("the pairing code was used before the program was refused")
		}
		return asExitError(code, out)
	}},
	"configuration that install writes": {"config.yaml", func(t *testing.T, path string) error {
		l := newLaptop(t)
		l.env = append(l.env, "MOORING_CONFIG="+path)
		return asExitError(l.run("install", "--pairing", l.gateway.PairingEndpoint, "--code", fakegateway.Code.String()))
	}},
	"identity directory": {"id", func(t *testing.T, path string) error {
		return allowExitCode(exitUsage, runCommand(t, "run", "--identity-dir", path, "--name", "box"))
	}},
	"CA of the gateways": {"ca.pem", func(t *testing.T, path string) error {
		writeFile(t, path, string(fakegateway.Start(t).ServerCA.Bundle(t).PEM()), 0o600)
		f := flags{gatewayCA: path}
		_, err := f.readCA()
		return err
	}},
	"pairing URI": {"uri", func(t *testing.T, path string) error {
		writeFile(t, path, qrURI, 0o600)
		f := flags{pair: "@" + path}
		_, err := f.readInvitation(strings.NewReader(""), io.Discard)
		return err
	}},
}

func TestTheWholePathOfEachFileThatTheAgentObeysIsChecked(t *testing.T) {
	for kind, file := range trustedFiles {
		t.Run(kind, func(t *testing.T) {
			for name, loosen := range map[string]func(top string) (loose string){
				"":                     nil,
				"the folder":           func(top string) string { return filepath.Join(top, "real/deep") },
				"the folder above":     func(top string) string { return filepath.Join(top, "real") },
				"the folder of a link": func(top string) string { return filepath.Join(top, "links") },
			} {
				top, err := os.MkdirTemp("", "trust") // short, for the path of a socket
				must(t, err)
				t.Cleanup(func() { os.RemoveAll(top) })
				must(t, os.MkdirAll(filepath.Join(top, "real/deep"), 0o755), os.Mkdir(filepath.Join(top, "links"), 0o755), os.Symlink("../real/deep", filepath.Join(top, "links/link")))
				loose := ""
				if loosen != nil {
					loose = loosen(top)
					must(t, os.Chmod(loose, 0o777))
				}
				err = file.obey(t, filepath.Join(top, "links/link", file.name))
				if kind == "program of the service" && strings.HasSuffix(loose, "links") {
					loose = "" // the registered path has its links resolved
				}
				switch {
				case loose == "" && err != nil:
					t.Errorf("a path that is safe: %v", err)
				case loose != "" && (err == nil || !strings.Contains(err.Error(), "chmod go-w "+loose)):
					t.Errorf("others can write %s: %v", name, err)
				}
			}
		})
	}
}

// openingFiles has a row for each call of the agent that opens a file or starts a program by its
// name. Package ownfile opens the files that control the agent; the other rows hold the reason why
// that is not necessary.
var openingFiles = map[string]string{
	"ownfile":                          "the walk itself; passwd and group are the system's",
	"run/process/tree_linux.go":        "/proc",
	"run/process/process.go":           "the program is a descriptor that ownfile opened; /dev/null",
	"hostinfo/hostinfo.go":             "/proc, /etc/os-release: facts to show",
	"logfile/logfile.go":               "the log, to show it",
	"cli/pair.go":                      "a pipe; ownfile reads files",
	"cli/terminal_unix.go":             "/dev/tty",
	"config/write.go":                  "written; install checks the result",
	"run/desktop/filetype.go":          "the beginning of a file of the user, to warn about it",
	"run/desktop/opener.go":            "looked up; ownfile checks and opens it",
	"local/doctor/machine.go":          "a file of its own in the identity directory, to try the disk",
	"run/journal/open.go":              "in the identity directory",
	"run/program/watch.go":             "names of a folder that ownfile checked; ownfile reads the files",
	"service/system.go":                "programs of the service manager, by the PATH of the caller",
	"identity/store/store.go":          "the identity directory, which ownfile checks",
	"identity/store/open_read_only.go": "the identity directory, which ownfile checks",
	"cli/run.go":                       "the log, to write it; a loose folder is named in the log",
}

// openingTypes are the types, and openingCalls the functions, that open a file or start a program
// by its name.
var openingTypes = []string{"exec.Cmd", "lumberjack.Logger"}

var openingCalls = []string{
	"os.Open", "os.OpenFile", "os.OpenRoot", "os.OpenInRoot", "os.ReadFile", "os.ReadDir", "os.DirFS", "os.Create", "os.CreateTemp", "os.WriteFile",
	"os.StartProcess", "os.CopyFS", "exec.Command", "exec.CommandContext", "exec.LookPath", "bolt.Open", "tls.LoadX509KeyPair",
	"unix.Open", "unix.Openat", "unix.Openat2", "unix.Exec", "syscall.Open", "syscall.Exec", "syscall.ForkExec", "plugin.Open", "ioutil.ReadFile", "filepath.Glob",
	"filepath.Walk", "filepath.WalkDir", "template.ParseFiles", "x509.SystemCertPool",
}

func TestNoFileIsOpenedWithoutARow(t *testing.T) {
	found := map[string][]string{}
	must(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel("..", path)
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		key := name
		if strings.HasPrefix(name, "ownfile/") {
			key = "ownfile"
		}
		ast.Inspect(file, func(n ast.Node) bool {
			names := openingCalls
			if literal, ok := n.(*ast.CompositeLit); ok && literal.Type != nil {
				n, names = literal.Type, openingTypes
			}
			if s, ok := n.(*ast.SelectorExpr); ok {
				if of, ok := s.X.(*ast.Ident); ok && slices.Contains(names, of.Name+"."+s.Sel.Name) {
					found[key] = append(found[key], of.Name+"."+s.Sel.Name)
				}
			}
			return true
		})
		return nil
	}))
	for file, calls := range found {
		if openingFiles[file] == "" {
			t.Errorf("%s opens files (%s): open files that control the agent with ownfile and add a row to trustedFiles, or add the reason to opened", file, strings.Join(calls, ", "))
		}
	}
	for file := range openingFiles {
		if found[file] == nil {
			t.Errorf("%s opens nothing: remove its row", file)
		}
	}
}

func runCommand(t *testing.T, args ...string) error {
	t.Helper()
	code, _, errOut := execute(t, t.Context(), "", args...)
	return asExitError(code, errOut)
}

type exitCodeError struct {
	code int
	text string
}

func (e *exitCodeError) Error() string { return fmt.Sprintf("exit %d: %s", e.code, e.text) }

func asExitError(code int, text string) error {
	if code == exitOK {
		return nil
	}
	return &exitCodeError{code, text}
}

// allowExitCode treats one exit code as success: the agent accepted the file and failed at a later
// step.
func allowExitCode(code int, err error) error {
	if exit := (*exitCodeError)(nil); errors.As(err, &exit) && exit.code == code {
		return nil
	}
	return err
}

func capabilityFile(name, program string) string {
	return "name: " + name + "\ndescription: A test.\nrunAs: \"" + fmt.Sprint(os.Geteuid(), ":", os.Getegid()) + "\"\nargv: [" + program + "]\n"
}

func writeFile(t *testing.T, path, content string, mode os.FileMode) string {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), mode))
	return path
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("/bin/cp", "--", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
