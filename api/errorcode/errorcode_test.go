package errorcode_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/mooring-dev/mooring/api/errorcode"
	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// TestTheValuesStay compares the codes with the values that agents and clusters of earlier versions
// exchange.
func TestTheValuesStay(t *testing.T) {
	for want, code := range map[string]string{
		"NodeRevoked": v1alpha1.ErrorNodeRevoked, "NodeDeleted": v1alpha1.ErrorNodeDeleted, "NodeNotFound": v1alpha1.ErrorNodeNotFound,
		"UnknownCapability": v1alpha1.ErrorUnknownCapability, "NotGranted": v1alpha1.ErrorNotGranted, "NoLongerAllowed": v1alpha1.ErrorNoLongerAllowed,
		"CapabilityUnavailable": v1alpha1.ErrorCapabilityUnavailable, "InvalidInput": v1alpha1.ErrorInvalidInput, "InvalidOutput": v1alpha1.ErrorInvalidOutput,
		"CapabilityFailed": v1alpha1.ErrorCapabilityFailed, "MediationDenied": v1alpha1.ErrorMediationDenied, "MediationTimedOut": v1alpha1.ErrorMediationTimedOut,
		"AgentRestarted": v1alpha1.ErrorAgentRestarted, "JournalReset": v1alpha1.ErrorJournalReset, "JournalFull": v1alpha1.ErrorJournalFull,
		"QueueFull": v1alpha1.ErrorQueueFull, "PolicyUnproven": v1alpha1.ErrorPolicyUnproven, "Expired": v1alpha1.ErrorExpired,
		"Timeout": v1alpha1.ErrorTimeout, "Cancelled": v1alpha1.ErrorCancelled, "Internal": v1alpha1.ErrorInternal,
	} {
		if code != want {
			t.Errorf("%q, want %q", code, want)
		}
	}
	if errorcode.Internal != v1alpha1.ErrorInternal {
		t.Error("the API does not export the codes of this package")
	}
}

// TestTheNameIsTheValue verifies that a code cannot get the value of another one, and that the package
// imports nothing.
func TestTheNameIsTheValue(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "errorcode.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Imports) > 0 {
		t.Error("the package has imports")
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		found++
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if value := ""; ok {
			value, _ = strconv.Unquote(literal.Value)
			ok = value == spec.Names[0].Name
		}
		if !ok {
			t.Errorf("the value of %s is not its name", spec.Names[0].Name)
		}
		return true
	})
	if found != 21 {
		t.Errorf("found %d codes, want 21", found)
	}
}
