package peer

import (
	"reflect"
	"testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

func TestWhatAMachineSaysOfItsSystemIsStoredWithoutUnsafeCharacters(t *testing.T) {
	const hostile, want = "a\u202e\u009b\x1b\x7f\u200b\n\u2028\xff", "a\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD  \uFFFD"
	got := SystemInfo(&gatewayv1.SystemInfo{Os: hostile, Arch: hostile, Platform: hostile, Hostname: hostile, KernelVersion: hostile,
		OsImage: hostile, AgentVersion: hostile})
	fields := reflect.ValueOf(*got)
	for i := range fields.NumField() {
		if fields.Field(i).String() != want {
			t.Errorf("%s is %q", fields.Type().Field(i).Name, fields.Field(i))
		}
	}
	if SystemInfo(nil) != nil {
		t.Error("SystemInfo(nil) is not nil")
	}
}
