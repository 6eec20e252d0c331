package program

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
)

// TestAFolderThatCannotBeWatchedIsReadOften simulates a machine on which other programs have used
// up the kernel's limit of watches.
func TestAFolderThatCannotBeWatchedIsReadOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, tries := t.TempDir(), 0
		r, err := capability.NewRegistry()
		if err != nil {
			t.Fatal(err)
		}
		f := &Folder{Dir: dir, Registry: r, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), newWatcher: func() (*fsnotify.Watcher, error) {
			tries++
			return nil, syscall.EMFILE
		}}
		ctx, cancel := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		watching.Go(func() { f.Watch(ctx) })
		time.Sleep(time.Second)
		writeCapabilityFile(t, dir, "own.a", runAsLine()+"argv: [/bin/true]")
		time.Sleep(unwatchedReadInterval)
		synctest.Wait()
		if _, ok := r.Get("own.a"); !ok {
			t.Errorf("the capability is not registered after %s", unwatchedReadInterval)
		}
		if tries < 2 {
			t.Errorf("%d attempts to watch the folder, want at least 2", tries)
		}
		cancel()
		watching.Wait()
	})
}
