package nodestatus

import (
	"encoding/json"
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// The sent body shares memory with the cached Node, which other goroutines read concurrently with
// the response.
func TestTheAnswerToAWriteIsNotReadIntoWhatWasSent(t *testing.T) {
	system := &v1alpha1.SystemInfo{Hostname: "kiosk"}
	capabilities := []v1alpha1.NodeCapability{{Name: "echo", InputSchema: &v1alpha1.JSON{Raw: []byte(`{}`)}}}
	sent := &ApplyBody{Status: Fields{System: system, Capabilities: capabilities}}
	answer := `{"metadata":{"name":"kiosk","resourceVersion":"7"},"status":{"system":{"hostname":"other"},"capabilities":[{"name":"other","inputSchema":{"a":1}}]}}`
	if err := json.Unmarshal([]byte(answer), sent); err != nil {
		t.Fatal(err)
	}
	if sent.Metadata.ResourceVersion != "7" {
		t.Errorf("the version is %q, want the version in the response", sent.Metadata.ResourceVersion)
	}
	if system.Hostname != "kiosk" || capabilities[0].Name != "echo" || string(capabilities[0].InputSchema.Raw) != `{}` {
		t.Errorf("the response was written into %+v and %+v", system, capabilities[0])
	}
}
