package logfile

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOnlyTheEndIsShown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("first\n"+strings.Repeat("x", maxTailBytes-5)+"last\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Copy(t.Context(), &out, path, false); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); len(got) != maxTailBytes || strings.Contains(got, "first") || !strings.HasSuffix(got, "last\n") {
		t.Errorf("%d bytes are shown, which end with %q", len(got), got[max(0, len(got)-10):])
	}
}

func TestALogThatIsNotThereIsSaid(t *testing.T) {
	if err := Copy(t.Context(), &bytes.Buffer{}, filepath.Join(t.TempDir(), "log"), true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

// TestALogIsFollowedOverARotation verifies that Copy shows appended text once, over a rotation too.
func TestALogIsFollowedOverARotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	add := func(text string) {
		file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	add("1 ")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		ended := make(chan error)
		go func() { ended <- Copy(ctx, &out, path, true) }()
		synctest.Wait()
		add("2 ")
		if err := os.Rename(path, path+".old"); err != nil {
			t.Fatal(err)
		}
		add("3 ")
		synctest.Wait()
		for range 3 {
			waitFollowInterval()
			synctest.Wait()
		}
		add("4")
		waitFollowInterval()
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := out.String(); got != "1 2 3 4" {
			t.Errorf("the output is %q", got)
		}
	})
}

// waitFollowInterval sleeps until just after the next read of Copy, in the time of the bubble.
func waitFollowInterval() { time.Sleep(followInterval + time.Millisecond) }
