// Command bench measures what Mooring costs against what the same work costs a plain client of the
// Kubernetes API, in one run and interleaved, and writes docs/benchmarks.md. Targets are printed
// beside the figures; nothing fails because of a slow machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

type options struct {
	agents, large, rounds int
	out, only, note       string
}

// row is one part of the report.
type row struct {
	name string
	run  func(ctx context.Context, w *world, o options) (section, error)
}

var rows = []row{
	{"latency", latency}, {"throughput", throughput}, {"revocation", revocation}, {"idle", idle},
}

func main() {
	log.SetLogger(logr.Discard()) // or controller-runtime complains
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.IntVar(&o.agents, "agents", 500, "connected agents during revocation and idle rows")
	flag.IntVar(&o.large, "large", 0, "agents of the large idle row; 0 leaves it out, at most 4800")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of each measurement; the median and the spread are of these")
	flag.StringVar(&o.out, "out", "", "file to write the report to; empty: standard output only")
	flag.StringVar(&o.only, "only", "", "rows to run, separated by commas: latency, throughput, revocation, idle; empty: all")
	flag.StringVar(&o.note, "note", "", "a remark on the machine, such as what else ran on it")
	flag.Parse()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	w, err := newWorld(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	began := time.Now()
	var report strings.Builder
	report.WriteString(preamble(o))
	for _, r := range rows {
		if o.only != "" && !strings.Contains(","+o.only+",", ","+r.name+",") {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s …\n", r.name)
		measured, err := r.run(ctx, w, o)
		if err != nil {
			return fmt.Errorf("measure %s: %w", r.name, err)
		}
		fmt.Print(measured.String())
		report.WriteString(measured.String())
	}
	fmt.Fprintf(os.Stderr, "measured in %s\n", time.Since(began).Round(time.Second))
	if o.out == "" {
		return nil
	}
	return os.WriteFile(o.out, []byte(report.String()), 0o644) //nolint:gosec // a document
}
