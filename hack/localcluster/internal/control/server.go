package control

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"
)

// Supervisor is the interface that Serve makes available.
type Supervisor interface {
	// Status probes the components; it takes 2 s at most.
	Status(ctx context.Context) Status
	// Start returns when the component is ready.
	Start(ctx context.Context, component string) error
	// Stop returns when the component has ended; kill means SIGKILL.
	Stop(ctx context.Context, component string, kill bool) error
	// Shutdown starts to stop everything and returns at once.
	Shutdown()
}

// Serve answers requests on listener until ctx ends.
func Serve(ctx context.Context, listener net.Listener, supervisor Supervisor) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(supervisor.Status(r.Context()))
	})
	mux.HandleFunc("POST /shutdown", func(http.ResponseWriter, *http.Request) { supervisor.Shutdown() })
	mux.HandleFunc("POST /components/{name}/start", func(w http.ResponseWriter, r *http.Request) {
		answer(w, supervisor.Start(r.Context(), r.PathValue("name")))
	})
	mux.HandleFunc("POST /components/{name}/stop", func(w http.ResponseWriter, r *http.Request) {
		answer(w, supervisor.Stop(r.Context(), r.PathValue("name"), r.URL.Query().Has("kill")))
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}
