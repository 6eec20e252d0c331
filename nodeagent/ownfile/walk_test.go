//go:build unix

package ownfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// makeTree creates a file behind folders and links of each kind. It returns the file's path through
// the links, the file, and every folder that the path depends on:
//
//	top/one/link  -> ../two/inner      (a relative link to a folder)
//	top/two/inner/name -> top/three/deep/file (an absolute link to the file)
func makeTree(t *testing.T) (path, file string, folders []string) {
	t.Helper()
	top, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	for _, dir := range []string{"one", "two", "two/inner", "three", "three/deep"} {
		folders = append(folders, filepath.Join(top, dir))
		must(t, os.Mkdir(filepath.Join(top, dir), 0o755))
	}
	file = filepath.Join(top, "three/deep/file")
	must(t, os.WriteFile(file, []byte("#!/bin/sh\necho checked\n"), 0o755))
	must(t, os.Symlink("../two/inner", filepath.Join(top, "one/link")), os.Symlink(file, filepath.Join(top, "two/inner/name")))
	return filepath.Join(top, "one/link/name"), file, append(folders, top)
}

// pathUses are the functions that use a path.
var pathUses = map[string]func(string) error{
	"read":  func(path string) error { _, err := Read(path); return err },
	"run":   CheckProgram,
	"scan":  func(path string) error { return CheckDir(filepath.Dir(path)) },
	"child": func(path string) error { _, err := Read(path + "/../name"); return ignoreError(err, syscall.ENOTDIR) },
}

func ignoreError(err, ignored error) error {
	if errors.Is(err, ignored) {
		return nil
	}
	return err
}

// TestEveryFolderOnTheWayIsChecked makes one folder after the other unsafe.
func TestEveryFolderOnTheWayIsChecked(t *testing.T) {
	spoils := map[string]func(*testing.T, string){
		"writable by all":       func(t *testing.T, dir string) { chmod(t, dir, 0o757) },
		"writable by its group": func(t *testing.T, dir string) { chmod(t, dir, 0o775) },
		"of another user": func(t *testing.T, dir string) {
			if os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			must(t, os.Chown(dir, 65534, 0))
		},
	}
	for use, check := range pathUses {
		path, _, folders := makeTree(t)
		if err := check(path); err != nil {
			t.Errorf("%s of a safe path: %v", use, err)
		}
		for at := range folders {
			for how, spoil := range spoils {
				t.Run(fmt.Sprintf("%s/%d/%s", use, at, how), func(t *testing.T) {
					path, _, folders := makeTree(t)
					if use == "scan" && strings.Contains(folders[at], "three") {
						t.Skip("the folder of the link is scanned, not the folder of the file")
					}
					spoil(t, folders[at])
					if err := check(path); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), folders[at]) {
						t.Errorf("%s: got %v", folders[at], err)
					}
				})
			}
		}
	}
}

// TestAStickyFolderIsPassedThroughButHoldsNothing uses a sticky folder like /tmp. Others can add
// names to it, so a file or link in it may be theirs.
func TestAStickyFolderIsPassedThroughButHoldsNothing(t *testing.T) {
	path, file, folders := makeTree(t)
	top := folders[len(folders)-1]
	chmod(t, top, 0o777|fs.ModeSticky)
	for use, check := range pathUses {
		if err := check(path); err != nil {
			t.Errorf("%s below a sticky folder: %v", use, err)
		}
	}
	direct, link := filepath.Join(top, "direct"), filepath.Join(top, "link")
	must(t, os.Link(file, direct), os.Symlink(file, link))
	for _, path := range []string{direct, link} {
		for use, check := range pathUses {
			if err := check(path); !errors.Is(err, ErrUnsafe) {
				t.Errorf("%s of %s in a sticky folder: %v", use, path, err)
			}
		}
	}
}

func TestALinkOfAnotherUserIsNotFollowed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	path, _, _ := makeTree(t)
	must(t, os.Lchown(path, 65534, 65534))
	if _, err := Read(path); !errors.Is(err, ErrUnsafe) {
		t.Errorf("got %v", err)
	}
}

func TestPathsThatLeadNowhereAreNamed(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	if _, err := Read(filepath.Join(dir, "loop")); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a loop: %v", err)
	}
	if _, err := Read(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if err := CheckDir(filepath.Join(dir, "none/none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
}

func TestTheInterpreterOfAScriptIsChecked(t *testing.T) {
	dir := t.TempDir()
	interpreter, script := filepath.Join(dir, "bin/sh"), filepath.Join(dir, "script")
	must(t, os.Mkdir(filepath.Dir(interpreter), 0o755), os.Symlink("/bin/sh", interpreter))
	for line, safe := range map[string]bool{"#!" + interpreter: true, "#! " + interpreter + " -e": true, "#!bin/sh": false, "#!": false, "#!" + script: false} {
		must(t, os.WriteFile(script, []byte(line+"\nexit 0\n"), 0o755))
		if err := CheckProgram(script); (err == nil) != safe {
			t.Errorf("%q: %v", line, err)
		}
	}
	must(t, os.WriteFile(script, []byte("#!"+interpreter+"\n"), 0o755))
	chmod(t, filepath.Dir(interpreter), 0o777)
	if err := CheckProgram(script); !errors.Is(err, ErrUnsafe) {
		t.Errorf("an interpreter that others can replace: %v", err)
	}
}

// pathSwaps replace one step of the path of a tree by something else with the same name.
func pathSwaps(path, file string, folders []string) map[string]func() error {
	top := folders[len(folders)-1]
	evil := filepath.Join(top, "evil")
	swap := func(name string, make func() error) func() error {
		return func() error { return errors.Join(os.Rename(name, name+".away"), make()) }
	}
	folder := func(name, file string) func() error {
		return swap(name, func() error {
			return errors.Join(os.Mkdir(name, 0o755), os.Symlink(evil, filepath.Join(name, file)))
		})
	}
	return map[string]func() error{
		"the file":               swap(file, func() error { return os.Rename(evil, file) }),
		"its folder":             folder(filepath.Dir(file), "file"),
		"the link to the file":   swap(filepath.Join(top, "two/inner/name"), func() error { return os.Symlink(evil, filepath.Join(top, "two/inner/name")) }),
		"the folder of the link": folder(filepath.Join(top, "two/inner"), "name"),
		"the link to the folder": swap(filepath.Dir(path), func() error { return os.Symlink(top, filepath.Dir(path)) }),
		"the first folder":       folder(filepath.Join(top, "one"), "link"),
	}
}

// TestWhatWasCheckedIsWhatIsUsed swaps each step between the check and the use.
func TestWhatWasCheckedIsWhatIsUsed(t *testing.T) {
	for name := range pathSwaps("", "", []string{""}) {
		t.Run(name, func(t *testing.T) {
			path, file, folders := makeTree(t)
			real, err := os.ReadFile("/bin/echo")
			must(t, err)
			other, err := os.ReadFile("/bin/false")
			must(t, err)
			must(t, os.WriteFile(file, real, 0o755), os.WriteFile(filepath.Join(folders[len(folders)-1], "evil"), other, 0o755))
			program, err := OpenProgram(path)
			must(t, err)
			defer program.Close()
			reading, err := walk(path)
			must(t, err)
			defer reading.close()
			must(t, pathSwaps(path, file, folders)[name]())
			if opened, err := reading.open(); err == nil {
				if info, err := opened.Stat(); err != nil || info.Size() != int64(len(real)) {
					t.Errorf("another file is read: %v", err)
				}
				opened.Close()
			}
			if program.File() == nil {
				if runtime.GOOS == "linux" {
					t.Error("File returns nil, so the program would be executed by its name")
				}
				return
			}
			cmd := &exec.Cmd{Path: fmt.Sprintf("/proc/self/fd/%d", program.File().Fd()), Args: []string{path, "checked"}}
			if out, err := cmd.Output(); err != nil || string(out) != "checked\n" {
				t.Errorf("another program ran: %q, %v", out, err)
			}
		})
	}
}

func TestThePrivateGroupOfAUserIsNobodyElse(t *testing.T) {
	const users = "root:x:0:0::/:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:1000::/:\nkim:x:1002:1002::/:\nlee:x:1003:1003::/:\n"
	const groups = "root:x:0:\nann:x:1000:\nkim:x:1002:kim\nlee:x:1003:kim\nstaff:x:50:kim\n"
	for _, c := range []struct {
		uid, gid uint32
		want     bool
	}{{1002, 1002, true}, {1000, 1000, false}, {1003, 1003, false}, {1002, 50, false}, {1002, 4, false}} {
		if got := isPrivate(users, groups, c.uid, c.gid); got != c.want {
			t.Errorf("user %d, group %d: %t", c.uid, c.gid, got)
		}
	}
	if privateGroup(0, 0) {
		t.Error("root has a private group")
	}
}
