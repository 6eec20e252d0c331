package main

import (
	"strings"
	"testing"
)

func TestHelmFindsNothingToFillIn(t *testing.T) {
	got, err := makeTemplate("kind: ConfigMap\ndata: {a: '{{ b }}', c: {d: e}}\n")
	if want := "kind: ConfigMap\ndata: {a: '{{ \"{{\" }} b }}', c: {d: e}}\n"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestCRDsOutliveARelease(t *testing.T) {
	got, err := makeTemplate("---\nkind: CustomResourceDefinition\nmetadata:\n  annotations:\n    a: b\n  name: c\n")
	if err != nil || !strings.Contains(got, "  annotations:\n    helm.sh/resource-policy: keep\n    a: b\n") {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := makeTemplate("kind: CustomResourceDefinition\nmetadata:\n  name: c\n"); err == nil {
		t.Error("a CRD without annotations would be removed with its objects")
	}
}

func TestTheNamespaceOfTheReleaseIsNotMade(t *testing.T) {
	got, err := makeTemplate("kind: Namespace\nmetadata:\n  name: mooring-system\n---\nkind: Namespace\nmetadata:\n  name: mooring-pairing\n")
	if err != nil || got != "kind: Namespace\nmetadata:\n  name: mooring-pairing\n" {
		t.Errorf("%q, %v", got, err)
	}
}
