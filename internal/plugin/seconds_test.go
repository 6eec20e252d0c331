package plugin

import (
	"strings"
	"testing"
)

func TestSecondsReadDurations(t *testing.T) {
	for text, want := range map[string]int32{"30s": 30, "90s": 90, "1m30s": 90, "10m": 600, "24h": 86400} {
		s := seconds{min: 30, max: 86400}
		if err := s.Set(text); err != nil || s.value != want {
			t.Errorf("%s: got %d, %v, want %d", text, s.value, err, want)
		}
	}
}

func TestSecondsRefuseWhatTheAPIWould(t *testing.T) {
	for text, want := range map[string]string{
		"10":      "write a duration",
		"":        "write a duration",
		"1.5s":    "whole seconds",
		"29s":     "from 30s to 24h",
		"-30s":    "from 30s to 24h",
		"24h1s":   "from 30s to 24h",
		"200000h": "from 30s to 24h", // more seconds than 32 bits hold
	} {
		s := seconds{value: 600, min: 30, max: 86400}
		err := s.Set(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v does not contain %q", text, err, want)
		}
		if s.value != 600 {
			t.Errorf("%q changed the value to %d", text, s.value)
		}
	}
}

func TestSecondsPrintAsPeopleWriteThem(t *testing.T) {
	for value, want := range map[int32]string{0: "0s", 30: "30s", 90: "1m30s", 600: "10m", 3600: "1h", 5400: "1h30m", 3610: "1h0m10s"} {
		if got := (&seconds{value: value}).String(); got != want {
			t.Errorf("%d: got %s, want %s", value, got, want)
		}
	}
}
