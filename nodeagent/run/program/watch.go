package program

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/nodeagent/ownfile"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
)

const (
	// quietPeriod is the time for which a folder must be quiet before it is read: an editor writes a
	// file in several steps.
	quietPeriod = 200 * time.Millisecond
	// readInterval is the interval of reads without an event: not every file system reports changes.
	readInterval = time.Minute
	// unwatchedReadInterval is that interval when the folder cannot be watched.
	unwatchedReadInterval = 5 * time.Second
)

// Folder is the folder of the capability files. It need not exist.
type Folder struct {
	Dir      string
	Registry *capability.Registry
	Log      *slog.Logger

	lastFingerprint string
	// newWatcher is for tests; nil means fsnotify.NewWatcher.
	newWatcher func() (*fsnotify.Watcher, error)
}

// LoadAll reads the files of a folder, in the order of their names. A missing folder has no files.
// The error is about the folder as a whole.
func LoadAll(dir string) ([]*Program, error) {
	if err := ownfile.CheckDir(dir); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, fmt.Errorf("capabilities folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("capabilities folder: %w", err)
	}
	var programs []*Program
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") || filepath.Ext(entry.Name()) != fileSuffix {
			continue
		}
		p, _ := Load(filepath.Join(dir, entry.Name())) // p itself keeps the error
		programs = append(programs, p)
	}
	return programs, nil
}

// Reload puts the present content of the folder into the registry.
func (f *Folder) Reload() {
	programs, err := LoadAll(f.Dir)
	if err != nil {
		f.Log.Error("the capabilities folder cannot be used", "error", err)
	}
	state := fingerprint(programs, err)
	if state == f.lastFingerprint {
		return
	}
	f.lastFingerprint = state
	var all []capability.Capability
	for _, p := range programs {
		if reason := p.Unavailable(); reason != "" {
			f.Log.Warn("capability file cannot be used", "file", p.Path, "reason", reason)
		}
		if capabilityname.Valid(p.name) {
			all = append(all, p)
		}
	}
	if err := f.Registry.SetOwn(all...); err != nil {
		f.Log.Error("some own capabilities cannot be declared", "error", err)
	}
	f.Log.Info("own capabilities read", "dir", f.Dir, "files", len(programs))
}

// fingerprint returns a text that changes with the contents and problems of the files.
func fingerprint(programs []*Program, err error) string {
	text := fmt.Sprint(err)
	for _, p := range programs {
		text += fmt.Sprintf("\x00%s\x00%+v\x00%s\x00%v\x00%v\x00%v\x00%+v\x00%q\x00%v\x00%s", p.Path, p.argv, p.schema, p.mediation,
			p.timeout, p.json, p.user.credential(), p.environment, p.description, p.Unavailable())
	}
	return text
}

// Watch reads the folder after every change, until ctx ends.
func (f *Folder) Watch(ctx context.Context) {
	w := &folderWatch{open: f.newWatcher, dir: f.Dir, log: f.Log}
	if w.open == nil {
		w.open = fsnotify.NewWatcher
	}
	defer w.close()
	periodic := time.NewTimer(readInterval)
	defer periodic.Stop()
	quiet := time.NewTimer(quietPeriod)
	defer quiet.Stop()
	for {
		// This call finds a folder that was created or replaced since.
		if w.ensureWatch() {
			periodic.Reset(w.nextRead())
		}
		select {
		case <-ctx.Done():
			return
		case <-w.events:
			quiet.Reset(quietPeriod)
		case err := <-w.failures:
			f.Log.Warn("the watch of the capabilities folder lost events", "error", err)
			quiet.Reset(quietPeriod)
		case <-periodic.C:
			f.Reload()
			periodic.Reset(w.nextRead())
		case <-quiet.C:
			f.Reload()
		}
	}
}

// folderWatch receives the changes of a folder. The system may refuse the watch: the number of
// watches on one machine is limited, and other programs may use them all.
type folderWatch struct {
	open func() (*fsnotify.Watcher, error)
	dir  string
	log  *slog.Logger

	watcher   *fsnotify.Watcher // nil until open succeeds
	unwatched bool
	// The channels are nil without a watcher, and so never deliver.
	events   chan fsnotify.Event
	failures chan error
}

// ensureWatch adds the watch; adding it twice is harmless. It reports whether the watch was lost or
// found.
func (w *folderWatch) ensureWatch() (changed bool) {
	var err error
	if w.watcher == nil {
		if w.watcher, err = w.open(); err == nil {
			w.events, w.failures = w.watcher.Events, w.watcher.Errors
		}
	}
	if err == nil {
		err = w.watcher.Add(w.dir)
	}
	if blind := err != nil; blind == w.unwatched {
		return false
	}
	if w.unwatched = err != nil; w.unwatched {
		w.log.Warn("the capabilities folder cannot be watched; it is read every few seconds", "dir", w.dir, "error", err)
	}
	return true
}

func (w *folderWatch) nextRead() time.Duration {
	if w.unwatched {
		return unwatchedReadInterval
	}
	return readInterval
}

func (w *folderWatch) close() {
	if w.watcher != nil {
		w.watcher.Close()
	}
}
