package supervise

import (
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"
)

// Spec describes the process of one component.
type Spec struct {
	Name  string
	Path  string
	Args  []string
	Log   string        // file for its output
	State string        // absolute path of the state directory
	Grace time.Duration // from the first signal to SIGKILL
}

const (
	stopGrace    = 15 * time.Second
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = 5 * time.Second
	steadyAfter  = 30 * time.Second // a run of this length resets the number of crashes
)

// runner keeps one component running or stopped, as the last command requires. Only its loop
// changes the process.
type runner struct {
	spec     Spec
	spawner  *spawner
	log      *slog.Logger
	commands chan command
	done     chan struct{}

	mu   sync.Mutex
	snap snapshot
}

// snapshot is the public state of a runner.
type snapshot struct {
	wanted   bool
	pid      int // 0 when not running
	started  time.Time
	restarts int    // unexpected ends since the supervisor started
	crashes  int    // unexpected ends since the last steady run or command
	lastExit string // result of the latest unexpected end
}

type command struct {
	start  bool
	signal syscall.Signal // to stop with
	done   chan error
}

func newRunner(spec Spec, spawner *spawner, log *slog.Logger) *runner {
	r := &runner{
		spec: spec, spawner: spawner, log: log.With("component", spec.Name),
		commands: make(chan command), done: make(chan struct{}),
	}
	go r.loop()
	return r
}

// start runs the component and returns when its process exists.
func (r *runner) start() error { return r.send(command{start: true}) }

// stop ends the process with signal, and with SIGKILL after the grace. It returns when the process
// is reaped.
func (r *runner) stop(signal syscall.Signal) error { return r.send(command{signal: signal}) }

func (r *runner) send(c command) error {
	c.done = make(chan error, 1)
	r.commands <- c
	return <-c.done
}

// close ends the loop. The caller must have stopped the process before.
func (r *runner) close() {
	close(r.commands)
	<-r.done
}

func (r *runner) snapshot() snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.snap
}

func (r *runner) update(change func(*snapshot)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.snap)
}

func (r *runner) loop() {
	defer close(r.done)
	var (
		child      *process
		exited     <-chan struct{}  // of child; nil blocks
		backoffEnd <-chan time.Time // end of a backoff; nil blocks
	)
	for {
		select {
		case c, open := <-r.commands:
			if !open {
				return
			}
			backoffEnd = nil
			var err error
			child, err = r.execute(c, child)
			c.done <- err
		case <-exited:
			backoffEnd = time.After(r.recordCrash(child))
			child = nil
		case <-backoffEnd:
			backoffEnd = nil
			var err error
			if child, err = r.launch(); err != nil {
				r.log.Error("restart component", "error", err)
				backoffEnd = time.After(lastBackoff)
			}
		}
		exited = nil
		if child != nil {
			exited = child.exited
		}
	}
}

// execute executes a command and returns the process that runs afterwards, if any.
func (r *runner) execute(c command, child *process) (*process, error) {
	if !c.start {
		r.halt(child, c.signal)
		return nil, nil
	}
	r.update(func(s *snapshot) { s.crashes = 0 })
	if child != nil {
		return child, nil
	}
	return r.launch()
}

func (r *runner) launch() (*process, error) {
	child, err := r.spawner.launch(r.spec)
	r.update(func(s *snapshot) {
		s.wanted = true
		if err == nil {
			s.pid, s.started = child.pid, time.Now()
		}
	})
	return child, err
}

// halt stops the process, if there is one, and waits for its end.
func (r *runner) halt(child *process, signal syscall.Signal) {
	r.update(func(s *snapshot) { s.wanted = false })
	if child != nil {
		child.signal(signal)
		select {
		case <-child.exited:
		case <-time.After(r.spec.Grace):
			r.log.Warn("component ignores the signal, killing it", "signal", signal.String(), "after", r.spec.Grace)
			child.signal(syscall.SIGKILL)
			<-child.exited
		}
	}
	r.update(func(s *snapshot) { s.pid = 0 })
}

// recordCrash records an unexpected end and returns the pause before the next start.
func (r *runner) recordCrash(child *process) time.Duration {
	var rest time.Duration
	how := "exit status 0"
	if child.err != nil {
		how = child.err.Error()
	}
	r.update(func(s *snapshot) {
		if time.Since(s.started) > steadyAfter {
			s.crashes = 0
		}
		rest = backoff(s.crashes)
		s.crashes++
		s.restarts++
		s.pid = 0
		s.lastExit = how
	})
	r.log.Warn("component ended, starting it again", "how", how, "pid", child.pid, "in", rest)
	return rest
}

// backoff doubles from firstBackoff to lastBackoff.
func backoff(crashes int) time.Duration {
	rest := firstBackoff
	for range crashes {
		if rest *= 2; rest >= lastBackoff {
			return lastBackoff
		}
	}
	return rest
}

func (s snapshot) describe() string {
	switch {
	case s.pid != 0:
		return "running"
	case s.wanted:
		return fmt.Sprintf("crashed (%s), starting again", s.lastExit)
	default:
		return "stopped"
	}
}
