package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"golang.org/x/sync/errgroup"
)

// runLoops runs every controller until ctx ends or one of them fails, and serves
// readiness: ready means that all caches have synced, so from then on every
// object is seen.
func runLoops(parent context.Context, shared *controller.Context, loops map[string]controller.Interface, listen string) error {
	var ready atomic.Bool
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen for probes: %w", err)
	}
	group, ctx := errgroup.WithContext(parent)
	group.Go(func() error { return serveProbes(ctx, listener, shared, &ready) })

	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	for name, loop := range loops {
		group.Go(func() error {
			if err := loop.Run(controllerWorkers, ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("controller %q: %w", name, err)
			}
			return nil
		})
	}
	group.Go(func() error {
		err := awaitCaches(ctx, shared)
		ready.Store(err == nil)
		return err
	})
	if err := group.Wait(); err != nil && parent.Err() == nil {
		return err
	}
	return nil // asked to stop
}

func awaitCaches(ctx context.Context, shared *controller.Context) error {
	for kind, synced := range shared.SharedInformerFactory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("cache of %v did not sync", kind)
		}
	}
	for kind, synced := range shared.KubeSharedInformerFactory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("cache of %s did not sync", kind)
		}
	}
	return nil
}

func serveProbes(ctx context.Context, listener net.Listener, shared *controller.Context, ready *atomic.Bool) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", shared.Metrics.NewServer(listener).Handler)
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			http.Error(w, "caches have not synced yet", http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve probes: %w", err)
	}
	return nil
}
