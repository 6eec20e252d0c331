package build

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newTree creates a repository with the sources that a stamp covers.
func newTree(t *testing.T) Builder {
	t.Helper()
	b := Builder{Root: t.TempDir(), Progress: &bytes.Buffer{}}
	for name, content := range map[string]string{
		"go.mod": "module x\n", "go.sum": "", "cmd/controlplane/main.go": "package main\n",
		"cmd/controlplane/main_test.go": "package main\n", "cmd/localcluster/main.go": "package main\n",
	} {
		write(t, filepath.Join(b.Module(), name), content, 0o644)
	}
	return b
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func TestTheStampFollowsWhatIsBuilt(t *testing.T) {
	cases := []struct {
		file    string
		changes bool
	}{
		{"go.mod", true}, {"go.sum", true}, {"cmd/controlplane/main.go", true}, {"cmd/controlplane/more.go", true},
		{"cmd/controlplane/main_test.go", false}, {"cmd/localcluster/main.go", false},
	}
	for _, c := range cases {
		t.Run(c.file, func(t *testing.T) {
			b := newTree(t)
			before, err := b.stamp(t.Context(), ControlPlane)
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(b.Module(), c.file), "module y\n// changed\n", 0o644)
			after, err := b.stamp(t.Context(), ControlPlane)
			if err != nil {
				t.Fatal(err)
			}
			if (before != after) != c.changes {
				t.Errorf("stamp changed: %t, want %t", before != after, c.changes)
			}
		})
	}
	b := newTree(t)
	plain, err := b.stamp(t.Context(), ControlPlane)
	if worker, workerErr := b.stamp(t.Context(), Worker); err != nil || workerErr != nil || plain == worker {
		t.Errorf("the variants share a stamp: %v, %v", err, workerErr)
	}
}

func TestAFolderIsUpToDateOnlyWithEverythingInIt(t *testing.T) {
	b := newTree(t)
	folder := b.Folder(ControlPlane)
	for _, name := range append([]string{binaryName}, ControlPlane.programs...) {
		write(t, filepath.Join(folder, name), "", 0o755)
	}
	write(t, filepath.Join(folder, crdFolder, "a.yaml"), "", 0o644)
	write(t, stampPath(folder), "stamp\n", 0o644)
	if !b.upToDate(ControlPlane, "stamp") {
		t.Fatal("complete, but not taken as such")
	}
	if b.upToDate(ControlPlane, "other") {
		t.Error("built from something else, but taken")
	}
	for _, missing := range []string{"etcd", filepath.Join(crdFolder, "a.yaml")} {
		path := filepath.Join(folder, missing)
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		if b.upToDate(ControlPlane, "stamp") {
			t.Errorf("%s is missing, but taken", missing)
		}
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAssetsAreUsedAndCompletedFromTheBuild(t *testing.T) {
	assets, built := t.TempDir(), t.TempDir()
	for _, name := range ControlPlane.programs {
		write(t, filepath.Join(built, name), "", 0o755)
	}
	for _, name := range []string{"etcd", "kubectl"} {
		write(t, filepath.Join(assets, name), "", 0o755)
	}
	programs := Programs{Assets: assets, Built: built}
	_, err := programs.Path("kube-apiserver")
	if err == nil || !strings.Contains(err.Error(), AssetsVariable) {
		t.Errorf("assets without kube-apiserver: %v", err)
	}
	write(t, filepath.Join(assets, "kube-apiserver"), "", 0o755)
	want := map[string]string{"etcd": assets, "kube-apiserver": assets, "kubectl": assets,
		"kube-controller-manager": built, "cert-manager": built}
	got := map[string]string{}
	for name := range want {
		path, err := programs.Path(name)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = filepath.Dir(path)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if programs.Complete() || (Programs{Built: built}).Complete() {
		t.Error("nothing would be built, although something is missing")
	}
}

func TestTheRepositoryIsFoundFromBelow(t *testing.T) {
	b := newTree(t)
	if got, err := FindRoot(filepath.Join(b.Module(), "cmd")); err != nil || got != b.Root {
		t.Errorf("found %q, %v", got, err)
	}
	if got, err := FindRoot(t.TempDir()); err == nil {
		t.Errorf("found %q outside any repository", got)
	}
}

func TestProgressCountsPackagesAndKeepsTheComplaints(t *testing.T) {
	var out bytes.Buffer
	script := `echo net/http >&2; echo k8s.io/api/core/v1 >&2; echo "go: downloading x v1" >&2; echo "main.go:3:1: syntax error" >&2; exit 1`
	err := runWithProgress(exec.Command("/bin/sh", "-c", script), &out, "building")
	if err == nil || !strings.Contains(err.Error(), "main.go:3:1: syntax error") || strings.Contains(err.Error(), "downloading") {
		t.Errorf("error %v", err)
	}
	var meter meter
	meter.read(strings.NewReader("net/http\nk8s.io/api/core/v1\n# k8s.io/broken\nbroken.go:1:1: oops\n"))
	if meter.count() != 2 || meter.joinedMessages() != "# k8s.io/broken\nbroken.go:1:1: oops" {
		t.Errorf("%d packages, complaints %q", meter.count(), meter.joinedMessages())
	}
}
