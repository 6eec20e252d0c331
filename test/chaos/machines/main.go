// Command machines runs some real agents in one process. A test kills the process and starts it
// again with the agents' files. Each agent has the capability of package witness.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/mooring-dev/mooring/nodeagent"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/test/chaos/witness"
)

type options struct {
	// prefix plus the name of a machine is its identity directory; marks is the directory for the
	// marks of runs.
	prefix, marks string
	bug           bug
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.StringVar(&o.prefix, "prefix", "", "beginning of the paths of the identity directories; the name of the machine follows")
	flag.StringVar(&o.marks, "marks", "", "directory for the marks of runs")
	flag.Func("bug", "a bug to plant in the agents: deny, forget or rerun", o.bug.set)
	flag.Parse()
	if err := o.run(ctx, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "machines:", err)
		stop()
		os.Exit(1)
	}
}

func (o options) run(ctx context.Context, names []string) error {
	var group sync.WaitGroup
	problems := make([]error, len(names))
	for i, name := range names {
		group.Go(func() { problems[i] = o.runMachine(ctx, name) })
	}
	group.Wait()
	return errors.Join(problems...)
}

func (o options) runMachine(ctx context.Context, name string) error {
	recorder, err := witness.Open(witness.MarksPath(o.marks, name))
	if err != nil {
		return err
	}
	dir := o.prefix + name
	if err := o.bug.apply(ctx, filepath.Join(dir, "journal.db"), recorder); err != nil {
		return fmt.Errorf("plant a bug into %s: %w", name, err)
	}
	err = nodeagent.Run(ctx, nodeagent.Options{
		Dir: dir, NodeName: name, Extra: []capability.Capability{recorder}, Out: io.Discard,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)).With("machine", name),
	})
	if err != nil {
		return fmt.Errorf("machine %s: %w", name, err)
	}
	return nil
}
