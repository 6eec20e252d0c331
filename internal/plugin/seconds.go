package plugin

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// seconds is a duration flag in whole seconds, the unit of durations in the API. The fields min and
// max are the bounds of the API, checked here so that an error is reported before anything is sent.
type seconds struct{ value, min, max int32 }

// Type returns the text that the help shows.
func (s *seconds) Type() string { return "duration" }

// String returns the value as people write it: 10m, not 10m0s.
func (s *seconds) String() string { return shortDuration(s.value) }

// Set reads a Go duration such as 90s, 10m or 24h.
func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("write a duration such as 90s, 10m or 24h")
	}
	if d%time.Second != 0 {
		return errors.New("only whole seconds are possible")
	}
	if whole := int64(d / time.Second); whole < int64(s.min) || whole > int64(s.max) {
		return fmt.Errorf("choose from %s to %s", shortDuration(s.min), shortDuration(s.max))
	}
	s.value = int32(d / time.Second)
	return nil
}

func shortDuration(s int32) string {
	text := (time.Duration(s) * time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
