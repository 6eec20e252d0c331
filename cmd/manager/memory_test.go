package main

import (
	"runtime/debug"
	"testing"
)

func TestAGatewayCollectsSoonerUnlessGOGCSaysOtherwise(t *testing.T) {
	const before = 123
	defer debug.SetGCPercent(debug.SetGCPercent(before))
	for set, want := range map[string]int{"": gatewayGCPercent, "200": before, "off": before} {
		debug.SetGCPercent(before)
		t.Setenv("GOGC", set)
		collectSooner()
		if got := debug.SetGCPercent(before); got != want {
			t.Errorf("GOGC=%q: the collector is set to %d, want %d", set, got, want)
		}
	}
}
