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

	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/nodeagent/ownfile"
)

const (
	// settle is how long a folder must be quiet before it is read: an editor writes a
	// file in several steps.
	settle = 200 * time.Millisecond
	// reread is how often it is read anyway: not every file system tells of changes.
	reread = time.Minute
	// rereadBlind is how often where nothing tells of changes.
	rereadBlind = 5 * time.Second
)

// Folder is where the capability files are. It need not exist.
type Folder struct {
	Dir      string
	Registry *capability.Registry
	Log      *slog.Logger

	last string
	// newWatcher is for tests; nil is fsnotify's.
	newWatcher func() (*fsnotify.Watcher, error)
}

// LoadAll reads the files of a folder, in order of their names. None is a folder that is
// not there. The error is about the folder as a whole.
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
		if strings.HasPrefix(entry.Name(), ".") || filepath.Ext(entry.Name()) != suffix {
			continue
		}
		p, _ := Load(filepath.Join(dir, entry.Name())) // it says itself why it is unavailable
		programs = append(programs, p)
	}
	return programs, nil
}

// Read puts what the folder holds now into the registry.
func (f *Folder) Read() {
	programs, err := LoadAll(f.Dir)
	if err != nil {
		f.Log.Error("no own capabilities", "error", err)
	}
	state := fingerprint(programs, err)
	if state == f.last {
		return
	}
	f.last = state
	var all []capability.Capability
	for _, p := range programs {
		if reason := p.Unavailable(); reason != "" {
			f.Log.Warn("capability file cannot be used", "file", p.Path, "reason", reason)
		}
		if capability.ValidName(p.name) {
			all = append(all, p)
		}
	}
	if err := f.Registry.SetOwn(all...); err != nil {
		f.Log.Error("not every own capability can be declared", "error", err)
	}
	f.Log.Info("own capabilities read", "dir", f.Dir, "files", len(programs))
}

// fingerprint tells whether anything changed: what the files say, and what is wrong.
func fingerprint(programs []*Program, err error) string {
	text := fmt.Sprint(err)
	for _, p := range programs {
		text += fmt.Sprintf("\x00%s\x00%+v\x00%s\x00%v\x00%v\x00%v\x00%+v\x00%q\x00%v\x00%s", p.Path, p.argv, p.schema, p.mediation,
			p.limit, p.json, p.user.credential(), p.environment, p.description, p.Unavailable())
	}
	return text
}

// Watch reads the folder again whenever it changed, until ctx ends.
func (f *Folder) Watch(ctx context.Context) {
	w := &watch{open: f.newWatcher, dir: f.Dir, log: f.Log}
	if w.open == nil {
		w.open = fsnotify.NewWatcher
	}
	defer w.close()
	again := time.NewTimer(reread)
	defer again.Stop()
	quiet := time.NewTimer(settle)
	defer quiet.Stop()
	for {
		// A folder that is made later, or replaced, is found here.
		if w.renew() {
			again.Reset(w.interval())
		}
		select {
		case <-ctx.Done():
			return
		case <-w.events:
			quiet.Reset(settle)
		case err := <-w.failures:
			f.Log.Warn("the capabilities folder is watched with gaps", "error", err)
			quiet.Reset(settle)
		case <-again.C:
			f.Read()
			again.Reset(w.interval())
		case <-quiet.C:
			f.Read()
		}
	}
}

// watch hears of changes in a folder, as long as the system lets it: what may watch on one
// machine is limited, and others may have it all.
type watch struct {
	open func() (*fsnotify.Watcher, error)
	dir  string
	log  *slog.Logger

	watcher *fsnotify.Watcher // nil while there is none
	blind   bool
	// The channels are nil without a watcher: they never tell.
	events   chan fsnotify.Event
	failures chan error
}

// renew makes sure of the watch, which twice is harmless; it tells whether it was lost or found.
func (w *watch) renew() (changed bool) {
	var err error
	if w.watcher == nil {
		if w.watcher, err = w.open(); err == nil {
			w.events, w.failures = w.watcher.Events, w.watcher.Errors
		}
	}
	if err == nil {
		err = w.watcher.Add(w.dir)
	}
	if blind := err != nil; blind == w.blind {
		return false
	}
	if w.blind = err != nil; w.blind {
		w.log.Warn("the capabilities folder cannot be watched; it is read every few seconds", "dir", w.dir, "error", err)
	}
	return true
}

func (w *watch) interval() time.Duration {
	if w.blind {
		return rereadBlind
	}
	return reread
}

func (w *watch) close() {
	if w.watcher != nil {
		w.watcher.Close()
	}
}
