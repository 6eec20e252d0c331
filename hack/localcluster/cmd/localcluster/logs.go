package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/components"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/state"
)

// followPoll is the interval at which a followed log is read.
const followPoll = 200 * time.Millisecond

// logNames returns the names of the logs that `logs` can show.
func logNames() []string { return append(components.Names(), "supervisor", "audit") }

func newLogsCommand(place *locationFlags) *cobra.Command {
	var follow bool
	command := &cobra.Command{
		Use:   "logs [COMPONENT]",
		Short: "Show the log of a component, or of all",
		Long: `Shows the log of the current or latest run of a component; without one, that of all,
each line after the name of its component. The run before is in STATE/logs/*.log.1.

Components: ` + strings.Join(logNames(), ", ") + ".",
		Example:   "  localcluster logs kube-apiserver\n  localcluster logs -f cert-manager",
		ValidArgs: logNames(),
		Args:      cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			dir, err := place.dir()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if !slices.Contains(logNames(), args[0]) {
					return fmt.Errorf("unknown component %q: it is one of %s", args[0], strings.Join(logNames(), ", "))
				}
				return showOne(command.Context(), dir, args[0], follow, command.OutOrStdout())
			}
			if follow {
				return errors.New("--follow needs a component: localcluster logs -f kube-apiserver")
			}
			return showAll(dir, command.OutOrStdout())
		},
	}
	command.Flags().BoolVarP(&follow, "follow", "f", false, "print new lines until Ctrl-C")
	return command
}

func showAll(dir state.Dir, out io.Writer) error {
	shown := 0
	for _, name := range append(components.Names(), "supervisor") {
		data, err := os.ReadFile(dir.Log(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		shown++
		for line := range strings.Lines(string(data)) {
			if _, err := fmt.Fprintf(out, "%s: %s", name, line); err != nil {
				return err
			}
		}
	}
	if shown == 0 {
		return fmt.Errorf("there are no logs in %s: was a cluster ever started there?", dir.Logs())
	}
	return nil
}

func showOne(ctx context.Context, dir state.Dir, name string, follow bool, out io.Writer) error {
	path := dir.Log(name)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no log of %s in %s: was it ever started (an audit log needs up --audit)?", name, dir.Logs())
	}
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer func() { _ = file.Close() }()
	for {
		if _, err := io.Copy(out, file); err != nil {
			return fmt.Errorf("show log: %w", err)
		}
		if !follow {
			return nil
		}
		sleep(ctx, followPoll)
		if ctx.Err() != nil {
			return nil
		}
		if file, err = reopen(file, path); err != nil {
			return err
		}
	}
}

// reopen switches to the new file when the next run has created one.
func reopen(file *os.File, path string) (*os.File, error) {
	old, err := file.Stat()
	if err != nil {
		return file, fmt.Errorf("stat log: %w", err)
	}
	current, err := os.Stat(path)
	if err != nil || os.SameFile(old, current) {
		return file, nil // there is no new file
	}
	next, err := os.Open(path)
	if err != nil {
		return file, fmt.Errorf("open log: %w", err)
	}
	_ = file.Close()
	return next, nil
}
