package program

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// projectConfigMap lays out files as kubelet does for a ConfigMap: a dated folder, a link ..data to
// it, and a link for each key. It replaces an earlier version atomically.
func projectConfigMap(t *testing.T, dir, version string, files map[string]string) {
	t.Helper()
	dated := filepath.Join(dir, "..2026_11_29_"+version)
	must(t, os.Mkdir(dated, 0o755))
	for name, content := range files {
		must(t, os.WriteFile(filepath.Join(dated, name), []byte(content), 0o644))
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); !errors.Is(err, os.ErrExist) {
			must(t, err)
		}
	}
	must(t, os.Symlink(filepath.Base(dated), filepath.Join(dir, "..data_tmp")), os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func configMap(name, argument string) map[string]string {
	return map[string]string{name + fileSuffix: "name: " + name + "\ndescription: A test.\n" + runAsLine() + "argv: [/bin/echo, " + argument + "]\n"}
}

func TestAConfigMapIsACapabilitiesFolder(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"one", "two"} {
		projectConfigMap(t, dir, version, configMap("own.a", version))
		programs, err := LoadAll(dir)
		if err != nil || len(programs) != 1 || programs[0].Unavailable() != "" {
			t.Fatalf("%v, %v", programs, err)
		}
		if target, err := programs[0].Target([]byte("{}")); err != nil || !strings.Contains(target, version) {
			t.Errorf("version %s: %s, %v", version, target, err)
		}
	}
	// A dated folder that others can write is unsafe, even if the folder of the links is safe.
	dated := filepath.Join(dir, "..2026_11_29_two")
	must(t, os.Chmod(dated, 0o777))
	if programs, _ := LoadAll(dir); len(programs) != 1 || !strings.Contains(programs[0].Unavailable(), "chmod go-w "+dated) {
		t.Errorf("a loose folder behind the link: %v", programs)
	}
}

// TestAMountedConfigMapIsWritableByNoOne mounts a folder with mode 0777 read-only, as kubelet does.
func TestAMountedConfigMapIsWritableByNoOne(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	projectConfigMap(t, dir, "one", configMap("own.a", "x"))
	must(t, os.Chmod(dir, 0o777))
	if programs, err := LoadAll(dir); err == nil {
		t.Errorf("a folder that others can write: %v", programs)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with its mounts
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
				return err
			}
			err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount(dir, dir, "", unix.MS_BIND, ""),
				unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
			if err != nil {
				return err
			}
			programs, err := LoadAll(dir)
			if err != nil || len(programs) != 1 || programs[0].Unavailable() != "" {
				t.Errorf("mounted read-only: %v, %v", programs, err)
			}
			return nil
		}()
	}()
	if err := <-done; err != nil {
		t.Skip("mounts are not permitted here:", err)
	}
}
