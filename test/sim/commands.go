package sim

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

// reportInterval is the interval of the summaries of a Fleet that serves commands.
const reportInterval = 200 * time.Millisecond

// The commands of `ServeCommands`, one per line.
const (
	commandGrow    = "grow"    // COUNT PERSECOND: adds COUNT agents
	commandStorm   = "storm"   // breaks every connection
	commandAbandon = "abandon" // ends at once and leaves the cluster as it is
)

// ErrAbandoned is the error of `ServeCommands` after an abandon command. The caller must then call Abandon
// instead of Close.
var ErrAbandoned = errors.New("the cluster is abandoned")

// errCommandsEnded ends `ServeCommands` without an error.
var errCommandsEnded = errors.New("the commands ended")

// ServeCommands executes commands of the parent process until in or ctx ends. It writes its state to out,
// one Summary per line. With pair, new agents pair with a code.
func (f *Fleet) ServeCommands(ctx context.Context, in io.Reader, out io.Writer, pair bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan string)
	go func() { // ends with in, which may end after ctx: the process ends then
		defer close(lines)
		for scanner := bufio.NewScanner(in); scanner.Scan(); {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return f.report(ctx, out) })
	group.Go(func() error {
		for {
			select {
			case line, more := <-lines:
				if !more {
					return errCommandsEnded
				}
				if err := f.runCommand(ctx, line, pair, group); err != nil {
					return err
				}
			case <-ctx.Done():
				return errCommandsEnded
			}
		}
	})
	if err := group.Wait(); !errors.Is(err, errCommandsEnded) { // only the first error counts: the others are its consequences
		return err
	}
	return nil
}

func (f *Fleet) runCommand(ctx context.Context, line string, pair bool, group *errgroup.Group) error {
	var command string
	var count int
	var perSecond float64
	if _, err := fmt.Sscan(line, &command, &count, &perSecond); err != nil && command == commandGrow {
		return fmt.Errorf("read command %q: %w", line, err)
	}
	switch command {
	case commandGrow:
		group.Go(func() error {
			if pair {
				return f.Pair(ctx, count, nil)
			}
			return f.Ramp(ctx, count, perSecond)
		})
	case commandStorm:
		f.Storm()
	case commandAbandon:
		return ErrAbandoned
	default:
		return fmt.Errorf("unknown command %q", line)
	}
	return nil
}

func (f *Fleet) report(ctx context.Context, out io.Writer) error {
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	encoder := json.NewEncoder(out)
	for {
		if err := encoder.Encode(f.Summarise()); err != nil {
			return fmt.Errorf("report to the parent process: %w", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Abandon removes the directories and nothing else. Agents and cluster stay as they are: the
// process is about to end.
func (f *Fleet) Abandon() error {
	var problems []error
	for _, a := range f.Agents() {
		problems = append(problems, os.RemoveAll(a.options.Dir))
	}
	return errors.Join(problems...)
}
