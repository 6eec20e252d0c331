package stack_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
)

// pipeline applies config/samples/gitops for a fleet with the account of the fleet, from a copy
// that a test edits as people would. Its dispatches run test.append with the text of the sample, so
// that the machine counts the runs.
type pipeline struct {
	*fleet
	dir, runs string
	sleep     int // milliseconds of each run
}

func gitopsSamples() string { return filepath.Join(system.Root, "config", "samples", "gitops") }

// newPipeline creates the fleet of the samples.
func newPipeline(t *testing.T) *pipeline {
	t.Helper()
	p := (&pipeline{fleet: newFleet(t)}).newCopy(t)
	p.edit("fleet/fleet.yaml", "[echo, system.*]", "[echo, test.append]")
	p.kubectl(p.render("fleet"), "apply", "--server-side", "-f", "-")
	p.Eventually("the rights of the account", func() bool {
		_, err := system.Run(t.Context(), stack.Admin, "kubectl", "auth", "can-i", "create", "capabilitydispatches.mooring.dev", "-n", p.Namespace, p.asFlag())
		return err == nil
	})
	return p
}

// asFlag returns the flag with which kubectl acts as the account of the fleet.
func (p *pipeline) asFlag() string { return "--as=system:serviceaccount:" + p.Namespace + ":pipeline" }

// newCopy returns a new copy for the same fleet, with no runs counted.
func (p *pipeline) newCopy(t *testing.T) *pipeline {
	t.Helper()
	next := &pipeline{fleet: p.inSubtest(t), dir: t.TempDir(), runs: filepath.Join(t.TempDir(), "runs")}
	if err := os.CopyFS(next.dir, os.DirFS(gitopsSamples())); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"once", "numbered", "changed"} {
		next.edit(name+"/kustomization.yaml", "namespace: workshop", "namespace: "+p.Namespace)
	}
	return next
}

// edit replaces a text of a file; the text must be there.
func (p *pipeline) edit(file, old, new string) {
	p.Helper()
	path := filepath.Join(p.dir, file)
	text, err := os.ReadFile(path)
	if err != nil {
		p.Fatal(err)
	}
	if !strings.Contains(string(text), old) && !strings.Contains(string(text), new) {
		p.Fatalf("%s does not contain %q", file, old)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), old, new)), 0o600); err != nil {
		p.Fatal(err)
	}
}

func (p *pipeline) render(folder string) string {
	p.Helper()
	text, err := system.Run(p.Context(), stack.Admin, "kubectl", "kustomize", filepath.Join(p.dir, folder))
	if err != nil {
		p.Fatal(err)
	}
	return strings.ReplaceAll(text, "workshop", p.Namespace)
}

// manifest returns the only dispatch of a folder, changed to a capability that counts its runs.
func (p *pipeline) manifest(folder string) (text, name string) {
	p.Helper()
	var d map[string]any
	if err := yaml.Unmarshal([]byte(p.render(folder)), &d); err != nil {
		p.Fatal(err)
	}
	spec, _ := d["spec"].(map[string]any)
	input, _ := spec["input"].(map[string]any)
	spec["capability"] = "test.append"
	spec["timeoutSeconds"] = 3600
	line := strings.ReplaceAll(fmt.Sprint(input["text"]), " ", "-")
	spec["input"] = map[string]any{"file": p.runs, "line": line, "sleepMilliseconds": p.sleep}
	out, err := yaml.Marshal(d)
	if err != nil {
		p.Fatal(err)
	}
	metadata, _ := d["metadata"].(map[string]any)
	name, _ = metadata["name"].(string)
	return string(out), name
}

// apply applies the dispatch of a folder and returns its name.
func (p *pipeline) apply(folder string, flags ...string) string {
	p.Helper()
	text, name := p.manifest(folder)
	p.kubectl(text, append([]string{"apply", "-f", "-", p.asFlag()}, flags...)...)
	return name
}

// checkRefused fails the test unless the apply fails with the text why.
func (p *pipeline) checkRefused(folder, why string, flags ...string) {
	p.Helper()
	text, _ := p.manifest(folder)
	p.checkRefusedText(text, why, flags...)
}

func (p *pipeline) checkRefusedText(text, why string, flags ...string) {
	p.Helper()
	out, err := system.KubectlInput(p.Context(), stack.Admin, text, append([]string{"apply", "-f", "-", p.asFlag()}, flags...)...)
	if err == nil || !strings.Contains(out, why) {
		p.Errorf("apply answered %v: %s; want %q", err, out, why)
	}
}

func (p *pipeline) kubectl(input string, args ...string) {
	p.Helper()
	if out, err := system.KubectlInput(p.Context(), stack.Admin, input, args...); err != nil {
		p.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// awaitSucceeded waits for the end of a dispatch and fails the test unless it succeeded.
func (p *pipeline) awaitSucceeded(name string) *v1alpha1.CapabilityDispatch {
	p.Helper()
	d := &v1alpha1.CapabilityDispatch{}
	d.Namespace, d.Name = p.Namespace, name
	if d = p.AwaitEnded(d); d.Status.Phase != v1alpha1.DispatchSucceeded {
		p.Fatalf("%s ended %+v", name, d.Status)
	}
	return d
}

// checkRuns runs one more dispatch, after all earlier ones, and compares the runs of the
// machine with the texts.
func (p *pipeline) checkRuns(texts ...string) {
	p.Helper()
	last := p.AwaitEnded(p.CreateDispatch("bench-3", "test.append", map[string]any{"file": p.runs, "line": "last"}))
	if last.Status.Phase != v1alpha1.DispatchSucceeded {
		p.Errorf("the last run ended %+v", last.Status)
	}
	var want []string
	for _, text := range append(texts, "last") {
		want = append(want, strings.ReplaceAll(text, " ", "-"))
	}
	if got := readRuns(p.runs); !slices.Equal(got, want) {
		p.Errorf("the machine ran %q, want %q", got, want)
	}
}

// checkHealth compares the health that Argo CD and Flux derive from a dispatch with want.
func (p *pipeline) checkHealth(d *v1alpha1.CapabilityDispatch, want string) {
	p.Helper()
	object, err := system.Run(p.Context(), stack.Admin, "kubectl", "get", "cdisp", d.Name, "-n", d.Namespace, "-o", "json")
	if err != nil {
		p.Fatal(err)
	}
	health := exec.CommandContext(p.Context(), filepath.Join(system.Root, ".local", "bin", "health"), filepath.Join(system.Root, "config", "gitops"))
	health.Stdin = strings.NewReader(object)
	if got, err := health.CombinedOutput(); err != nil || string(got) != want {
		p.Errorf("health: %q, %v, want %q", got, err, want)
	}
}
