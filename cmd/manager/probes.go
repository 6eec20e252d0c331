package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/mooring-dev/mooring/internal/foreign"
)

// probes answers /healthz and /readyz from the start of the process. /readyz answers with the
// reason for being not ready, because a person reads it before the logs. The process is not ready
// before the manager runs startMarker, whichever checks have been set until then.
type probes struct {
	mu     sync.Mutex
	order  []string
	checks map[string]func() error
}

// startCheck is the name of the readiness check that fails until the manager has started.
const startCheck = "start"

func newProbes() *probes {
	p := &probes{checks: map[string]func() error{}}
	p.set(startCheck, fixedCheck(errors.New("the process has not started all of its parts yet")))
	return p
}

// startMarker is a manager.Runnable that ends the start check. The manager runs it on every replica,
// after its listeners for metrics and its caches.
type startMarker struct{ probes *probes }

// Start records that the manager runs.
func (s startMarker) Start(context.Context) error {
	s.probes.set(startCheck, fixedCheck(nil))
	return nil
}

// NeedLeaderElection returns false: a replica that waits for the leadership is ready, too.
func (s startMarker) NeedLeaderElection() bool { return false }

// set adds or replaces a readiness check. A check is quick and safe for concurrent use.
func (p *probes) set(name string, check func() error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.checks[name]; !ok {
		p.order = append(p.order, name)
	}
	p.checks[name] = check
}

// fixedCheck returns a check with the result err.
func fixedCheck(err error) func() error { return func() error { return err } }

// check returns every reason for being not ready, and nil when there is none.
func (p *probes) check() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var reasons []error
	for _, name := range p.order {
		if err := p.checks[name](); err != nil {
			reasons = append(reasons, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(reasons...)
}

func (p *probes) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := p.check(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, foreign.IndentLines(err.Error()))
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// serve answers on address until the returned function is called, which waits for the end. On
// address "0" it answers nowhere.
func (p *probes) serve(address string) (stop func(), err error) {
	if address == "0" || address == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("--health-probe-bind-address %s: the port is in use by another process; stop it or choose another address: %w", address, err)
	}
	if err != nil {
		return nil, fmt.Errorf("--health-probe-bind-address %s: %w", address, err)
	}
	server := &http.Server{Handler: p.handler(), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
		<-done
	}, nil
}
