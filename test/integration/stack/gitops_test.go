package stack_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/testfleet"
)

var (
	serverSide = []string{"--server-side", "--field-manager=pipeline"}
	applyFlags = map[string][]string{"server-side": serverSide, "client-side": nil}
)

// The machine writes one line per run to a file; these lines are the evidence of the runs.
func TestAManifestThatIsAppliedForEverRunsOnce(t *testing.T) {
	t.Parallel()
	f := newPipeline(t)
	f.Pair("bench-3")
	for way, flags := range applyFlags {
		t.Run(way, func(t *testing.T) {
			p := f.newCopy(t)
			p.edit("once/dispatch.yaml", "name: first-light", "name: once-"+way)
			for range 2 {
				p.apply("once", flags...)
			}
			first := p.awaitSucceeded("once-" + way)
			for range 2 {
				p.apply("once", flags...)
			}
			p.checkRuns("first light")
			again := testfleet.Read(p.fleet, first.DeepCopy())
			if diff := cmp.Diff(first.Status, again.Status); diff != "" || first.UID != again.UID || first.Generation != again.Generation {
				t.Errorf("applying it again changed the dispatch (-before +after):\n%s", diff)
			}
			if by := "system:serviceaccount:" + p.Namespace + ":pipeline"; again.Spec.RequestedBy != by {
				t.Errorf("requested by %q, want %q", again.Spec.RequestedBy, by)
			}
			p.checkHealth(again, "argocd Healthy: Succeeded\nflux Current\n")
		})
	}
}

// The spec is final, so Git requests another run with another name: a number, or a hash of the
// content.
func TestAnotherNameIsAnotherRun(t *testing.T) {
	t.Parallel()
	f := newPipeline(t)
	f.Pair("bench-3")
	p := f.newCopy(t)
	p.apply("numbered", serverSide...)
	p.awaitSucceeded("greet-1")
	p.edit("numbered/kustomization.yaml", `nameSuffix: "-1"`, `nameSuffix: "-2"`)
	p.apply("numbered", serverSide...)
	p.awaitSucceeded("greet-2")
	p.checkRuns("good morning", "good morning")

	p = f.newCopy(t)
	names := map[string]bool{}
	for _, version := range []string{"1.4.2", "1.4.2", "1.4.3", "1.4.3"} {
		p.edit("changed/dispatch.yaml", "version 1.4.2", "version "+version)
		name := p.apply("changed", serverSide...)
		names[name] = true
		p.awaitSucceeded(name)
	}
	p.checkRuns("version 1.4.2", "version 1.4.3")
	if len(names) != 2 {
		t.Errorf("two contents had the names %v", names)
	}
}

func TestAnEditedManifestIsRefusedAndDoesNotRun(t *testing.T) {
	t.Parallel()
	f := newPipeline(t)
	f.Pair("bench-3")
	for way, flags := range applyFlags {
		t.Run(way, func(t *testing.T) {
			p := f.newCopy(t)
			p.edit("once/dispatch.yaml", "name: first-light", "name: edited-"+way)
			p.apply("once", flags...)
			p.awaitSucceeded("edited-" + way)
			p.edit("once/dispatch.yaml", "text: first light", "text: second light")
			p.checkRefused("once", "input is immutable: create another CapabilityDispatch", flags...)
			p.edit("once/dispatch.yaml", "nodeName: bench-3", "nodeName: bench-4")
			p.checkRefused("once", "nodeName is immutable: create another CapabilityDispatch", flags...)
			p.checkRuns("first light")
			p.edit("once/dispatch.yaml", "text: second light", "text: first light")
			p.edit("once/dispatch.yaml", "nodeName: bench-4", "nodeName: bench-3\n  cancel: true")
			p.apply("once", flags...)
			p.edit("once/dispatch.yaml", "\n  cancel: true", "")
			p.checkRefused("once", "cancel can only go from false to true: leave spec.cancel out of the manifest", flags...)
			text, name := p.manifest("once")
			nameless := strings.Replace(text, "  name: "+name, "  generateName: "+name, 1)
			p.checkRefusedText(nameless, "cannot use generate name with apply", flags...)
		})
	}
}

// Pruning ends a running dispatch. The machine runs one dispatch at a time, so the next one needs
// that end.
func TestWhatIsPrunedIsCancelled(t *testing.T) {
	t.Parallel()
	f := newPipeline(t)
	f.Pair("bench-3")
	f.PatchNode("bench-3", `{"spec":{"maxInFlight":1}}`)
	p := f.newCopy(t)
	p.sleep = 600_000
	name := p.apply("once", serverSide...)
	testfleet.Await(p.fleet, name, &v1alpha1.CapabilityDispatch{}, "Delivered", func(d *v1alpha1.CapabilityDispatch) bool {
		return meta.IsStatusConditionTrue(d.Status.Conditions, v1alpha1.ConditionDelivered)
	})
	p.kubectl("", "delete", "cdisp", name, "-n", p.Namespace, p.asFlag())
	p.checkRuns()
}

// The test shows why manifests in Git have no ttlSecondsAfterFinished, as docs/how-to/gitops.md
// explains.
func TestWithATTLThePipelineRunsItAgain(t *testing.T) {
	t.Parallel()
	f := newPipeline(t)
	f.Pair("bench-3")
	p := f.newCopy(t)
	p.edit("once/dispatch.yaml", "nodeName: bench-3", "nodeName: bench-3\n  ttlSecondsAfterFinished: 0")
	for range 2 {
		name := p.apply("once", serverSide...)
		p.Eventually("the finished dispatch to be deleted", func() bool {
			d := &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: name}}
			return apierrors.IsNotFound(system.Client.Get(t.Context(), client.ObjectKeyFromObject(d), d))
		})
	}
	p.checkRuns("first light", "first light")
	samples, err := filepath.Glob(filepath.Join(gitopsSamples(), "*", "*.yaml"))
	if err != nil || len(samples) < 10 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	for _, path := range samples {
		text, err := os.ReadFile(path)
		if err != nil || strings.Contains(string(text), "ttlSecondsAfterFinished:") || strings.Contains(string(text), "generateName:") {
			t.Errorf("%s has a ttl or a generated name, %v", path, err)
		}
	}
}
