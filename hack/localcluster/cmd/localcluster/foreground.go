package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/control"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/supervise"
)

// errStdinClosed is the cause of the stop with --until-stdin-closes.
var errStdinClosed = errors.New("standard input was closed")

// supervise runs the cluster in this process until ctx ends.
func (u *up) supervise(parent context.Context) error {
	ctx, stop := context.WithCancelCause(parent)
	defer stop(nil)
	if u.untilStdin {
		// The goroutine ends with the input or with the process; a read cannot be interrupted.
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop(errStdinClosed)
		}()
	}
	level := slog.LevelWarn // at a terminal only problems
	if u.supervisor {
		level = slog.LevelInfo
	}
	stderr := u.command.ErrOrStderr()
	return supervise.Run(ctx, supervise.Options{
		Dir: u.dir, Address: u.address, Fsync: u.fsync, Audit: u.audit,
		Path: u.programs.Path, CRDs: u.programs.CRDs(), Timeout: u.timeout,
		Log:    slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})),
		OnStep: func(step control.Step) { printStep(stderr, step) },
		OnNote: func(note string) { printNote(stderr, note) },
		OnReady: func(status control.Status) {
			u.printReady(status, "stop it with Ctrl-C")
		},
	})
}
