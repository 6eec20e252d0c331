package apitime

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func TestClockIsLocalBeforeTheFirstAnswer(t *testing.T) {
	c := New(clocktesting.NewFakePassiveClock(start))
	if got := c.Now(); !got.Equal(start) {
		t.Errorf("Now() = %s, want the local %s", got, start)
	}
	if _, known := c.Offset(); known {
		t.Error("the offset is known before any answer")
	}
}

func TestAnswersOfAnyServerBoundItsTrueTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		local := clocktesting.NewFakePassiveClock(start)
		c := New(local)
		offset := time.Duration(rapid.Int64Range(-int64(time.Hour), int64(time.Hour)).Draw(t, "offset"))
		for range rapid.IntRange(1, 20).Draw(t, "answers") {
			local.SetTime(local.Now().Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "pause"))))
			sent := local.Now()
			requestDelay := time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "there"))
			responseDelay := time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "back"))
			date := sent.Add(requestDelay + offset).Truncate(time.Second)
			local.SetTime(sent.Add(requestDelay + responseDelay))
			c.observe(date, sent, local.Now())
		}
		truth := local.Now().Add(offset)
		if latest := c.Latest(); latest.Before(truth) {
			t.Fatalf("Latest() = %s is before the server's %s", latest, truth)
		}
		off := c.Now().Sub(truth)
		if off.Abs() > 2*time.Second {
			t.Fatalf("Now() is off by %s", off)
		}
		if off > time.Second/2+10*time.Millisecond { // drift of a minute
			t.Fatalf("Now() is %s ahead, want at most half a second", off)
		}
	})
}

func TestClockFollowsAJumpOfTheLocalClock(t *testing.T) {
	local := clocktesting.NewFakePassiveClock(start)
	c := New(local)
	c.observe(start, start, start)
	jumped := start.Add(-time.Hour)
	local.SetTime(jumped)
	c.observe(start, jumped, jumped)
	if off := c.Now().Sub(start).Abs(); off > time.Second {
		t.Errorf("Now() is off by %s after the local clock jumped", off)
	}
}

func TestAnswerDuringWhichTheLocalClockJumpedIsIgnored(t *testing.T) {
	c := New(clocktesting.NewFakePassiveClock(start))
	c.observe(start, start.Add(time.Hour), start)
	if _, known := c.Offset(); known {
		t.Error("a response that was received an hour before its request was used")
	}
}

func TestTransportReadsTheDateHeader(t *testing.T) {
	ahead := 42 * time.Minute
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
	}))
	defer server.Close()
	c := New(clocktesting.NewFakePassiveClock(time.Now()))
	config := &rest.Config{Host: server.URL}
	c.Wrap(config)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	offset, known := c.Offset()
	if !known || (offset-ahead).Abs() > 2*time.Second {
		t.Errorf("Offset() = %s, %t, want about %s", offset, known, ahead)
	}
}

// TestASlowFirstAnswerPutsTheClockHardlyAhead answers after ten seconds, as an API server does that
// has just started.
func TestASlowFirstAnswerPutsTheClockHardlyAhead(t *testing.T) {
	local := clocktesting.NewFakePassiveClock(start)
	c := New(local)
	local.SetTime(start.Add(10 * time.Second))
	c.observe(start.Add(10*time.Second), start, local.Now())
	if ahead := c.Now().Sub(local.Now()); ahead < 0 || ahead > time.Second/2 {
		t.Errorf("Now() is %s ahead of the server's clock, want at most half a second", ahead)
	}
	if offset, _ := c.Offset(); offset < 0 || offset > time.Second/2 {
		t.Errorf("Offset() = %s, want at most half a second", offset)
	}
}
