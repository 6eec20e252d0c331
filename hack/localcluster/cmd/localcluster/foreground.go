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

// errStdinClosed is why a cluster with --until-stdin-closes ends.
var errStdinClosed = errors.New("standard input was closed")

// supervise runs the cluster in this process until ctx ends.
func (u *up) supervise(parent context.Context) error {
	ctx, stop := context.WithCancelCause(parent)
	defer stop(nil)
	if u.untilStdin {
		// It ends with the input or with the process; a read has no other end.
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop(errStdinClosed)
		}()
	}
	level := slog.LevelWarn // at a terminal only what is wrong
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
