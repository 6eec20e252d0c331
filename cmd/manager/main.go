package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	stdlog "log"
	"os"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/version"
)

func main() {
	// Logs of libraries also repeat text of machines and servers.
	stderr := foreign.NewWriter(os.Stderr)
	stdlog.SetOutput(stderr)
	err := run(ctrl.SetupSignalHandler(), os.Args[1:], stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(stderr, "manager: %s\n", foreign.IndentLines(err.Error()))
		os.Exit(1)
	}
}

// run runs the whole program. It returns when ctx ends, or on an error that waiting cannot repair.
func run(ctx context.Context, args []string, stderr io.Writer) error {
	f, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	log := newLogger(f.logLevel, stderr)
	ctrl.SetLogger(log)
	klog.SetLogger(log.WithName("client-go"))
	config, err := loadConfig(f.kubeconfig)
	if err != nil {
		return fmt.Errorf("find the API server: %w: run in a cluster or give --kubeconfig", err)
	}
	config.UserAgent = fmt.Sprintf("mooring-%s/%s", f.role, version.Version)
	log.Info("starting", "role", f.role, "version", version.Version, "server", config.Host)
	if f.role == roleGateway {
		return runGateway(ctx, config, f.gateway)
	}
	return runController(ctx, config, f.controller)
}
