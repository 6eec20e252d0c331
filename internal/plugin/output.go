package plugin

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/yaml"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// format is the value of -o: "" for text, json or yaml.
type format string

// String returns the value as given.
func (f *format) String() string { return string(*f) }

// Type returns the text that the help shows.
func (f *format) Type() string { return "json|yaml" }

// Set rejects every other value before the command does anything.
func (f *format) Set(s string) error {
	if s != "json" && s != "yaml" {
		return fmt.Errorf("choose json or yaml, or leave -o out for text")
	}
	*f = format(s)
	return nil
}

func (f *format) addFlag(root *cobra.Command) {
	root.PersistentFlags().VarP(f, "output", "o", "print json or yaml instead of text")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
}

// printObject writes a value as json or yaml; the caller has checked that a format was requested.
func (t *tool) printObject(value any) error {
	if object, ok := value.(runtime.Object); ok {
		if err := prepareForPrint(object); err != nil {
			return err
		}
	}
	encoded, err := jsontext.MarshalIndent(value, "    ")
	if err == nil && t.format == "yaml" {
		encoded, err = yaml.JSONToYAML(encoded)
	}
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	_, err = fmt.Fprintln(t.Out, strings.TrimRight(string(t.escapeForTerminal(encoded)), "\n"))
	return err
}

// escapeForTerminal returns encoded unchanged for a pipe or a file. For a terminal JSON keeps its
// value by escapes, and YAML gets U+FFFD for each unsafe character.
func (t *tool) escapeForTerminal(encoded []byte) []byte {
	if !isTerminal(t.Out) {
		return encoded
	}
	return foreign.EscapeJSON(encoded)
}

// isTerminal reports whether out is a terminal, which a person reads.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// prepareForPrint sets the kind of an object, or of a list and its items, because clients omit it.
// Like kubectl it removes managedFields.
func prepareForPrint(object runtime.Object) error {
	gvk, err := apiutil.GVKForObject(object, scheme)
	if err != nil {
		return err
	}
	object.GetObjectKind().SetGroupVersionKind(gvk)
	if single, ok := object.(client.Object); ok {
		single.SetManagedFields(nil)
		return nil
	}
	return meta.EachListItem(object, prepareForPrint)
}

// printTable writes aligned columns. A cell is one line without unsafe characters, of at most 300
// characters: much of it comes from machines that are not approved.
func printTable(w io.Writer, header []string, rows [][]string) error {
	aligned := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = orDash(foreign.BriefLine(cell))
		}
		fmt.Fprintln(aligned, strings.Join(cells, "\t"))
	}
	return aligned.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// timeLeft returns the time left until then, such as "9m"; "expired" for the past.
func timeLeft(now, then time.Time) string {
	if !then.After(now) {
		return "expired"
	}
	return duration.HumanDuration(then.Sub(now))
}

// timeSince returns the time passed since then; "" for the zero time.
func timeSince(now, then time.Time) string {
	if then.IsZero() {
		return ""
	}
	return duration.HumanDuration(now.Sub(then))
}
