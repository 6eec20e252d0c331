package foreign

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sites lists the places in the product that can show foreign text, by the test that runs them with
// the corpus. Each row holds a folder, then functions and their kind of output. Prints of constant
// text are not listed.
var sites = map[string][]string{
	"TestTheManagersLogHoldsNothingThatActsOnATerminal (cmd/manager)": {
		"cmd/manager", "main: print", "newLogger: log", "handler: print",
	},
	"TestEventsAndConditionsAreOneSafeLine (controllers/report)": {"controllers/report", "Emit: event"},
	"TestAConditionIsOneSafeLine (controllers/status)":           {"controllers/status", "SetCondition: condition"},
	"TestConditionsOfADispatchAreOneSafeLine (internal/dispatch)": {
		"internal/dispatch", "Withdraw: condition", "setDelivered: condition", "finishStatus: condition",
	},
	"TestAWriterCleansWhateverThePiecesAre (internal/foreign)": {"internal/foreign", "Write: print"},
	"TestConditionsOfANodeAreOneSafeLine (internal/gateway/nodestatus)": {
		"internal/gateway/nodestatus", "SetCondition: condition",
	},
	"TestNoCommandPrintsForeignTextThatActsOnATerminal (internal/plugin)": {
		"internal/plugin", "Main: print", "describeNode: print", "showCode: print", "invoke: print", "newVersion: print", "printObject: print",
		"printAnswer: print", "notice: print", "noticef: print", "printTable: print",
	},
	"TestRawOutputGoesIntoAPipeOrWhereItIsAskedFor (internal/plugin)": {"internal/plugin", "printOutput: print"},
	"TestAQuestionShowsNothingThatActsOnATerminal (internal/plugin)":  {"internal/plugin", "confirm: print"},
	"TestATerminalGetsItsColoursOrAClearWord (internal/plugin)":       {"internal/plugin", "show: print"},
	"TestNoCommandPrintsForeignTextThatActsOnATerminal (nodeagent/cli)": {
		"nodeagent/cli", "confirm: print", "newAnswer: print", "newConfigView: print", "newDoctor: print", "newStop: print", "newVersion: print",
		"print: print", "printJSON: print", "printLine: print", "run: print", "loadSettingsLenient: print", "printCapabilities: print", "printQuestions: print",
	},
	"TestNoWordOfAGatewayActsOnATerminal (nodeagent/cli)": {"nodeagent/cli", "newLog: log"},
	"TestALineOfTheConsoleIsOneLine (nodeagent/console)":  {"nodeagent/console", "Print: print", "printUnlessLast: print"},
	"TestAPromptShowsNothingThatActsOnATerminal (nodeagent/run/mediation)": {
		"nodeagent/run/mediation", "Prompt: print", "handleLine: print",
	},
}

// products lists the folders whose programs show text.
var products = []string{"cmd", "controllers", "internal", "nodeagent"}

func TestEveryPlaceThatShowsForeignTextIsTriedWithTheCorpus(t *testing.T) {
	root := filepath.Join("..", "..")
	found := map[string]bool{}
	for _, folder := range products {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			where, _ := filepath.Rel(root, filepath.Dir(path))
			for _, site := range sitesIn(t, path) {
				found[filepath.ToSlash(where)+" "+site] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for test, places := range sites {
		if !testExists(t, root, test) {
			t.Errorf("there is no test %s", test)
		}
		for _, place := range places[1:] {
			if site := places[0] + " " + place; !found[site] {
				t.Errorf("the row %q names nothing", site)
			} else {
				delete(found, site)
			}
		}
	}
	for _, site := range slices.Sorted(maps.Keys(found)) {
		t.Errorf("%q has no row here: try it with the corpus", site)
	}
}

var testName = regexp.MustCompile(`^(Test\w+) \(([\w/]+)\)$`)

func testExists(t *testing.T, root, test string) bool {
	t.Helper()
	parts := testName.FindStringSubmatch(test)
	if parts == nil {
		return false
	}
	files, err := filepath.Glob(filepath.Join(root, parts[2], "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		source, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(source), "\nfunc "+parts[1]+"(")
	})
}

// callKinds classifies the calls that show text, by package or any receiver (".") and by name.
var callKinds = map[string]string{
	"fmt.Print": "print", "fmt.Printf": "print", "fmt.Println": "print", "fmt.Fprint": "print", "fmt.Fprintf": "print", "fmt.Fprintln": "print",
	"io.WriteString": "print", "http.Error": "print",
	".Eventf": "event", ".Event": "event", ".AnnotatedEventf": "event", "meta.SetStatusCondition": "condition",
	"slog.NewJSONHandler": "log", "slog.NewTextHandler": "log", "log.New": "log", "zap.New": "log", "funcr.New": "log",
}

// sitesIn returns "function: kind" for each call in a file.
func sitesIn(t *testing.T, path string) (found []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok {
			continue
		}
		ast.Inspect(function, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok {
				if kind := kindOf(call); kind != "" {
					found = append(found, function.Name.Name+": "+kind)
				}
			}
			return true
		})
	}
	return found
}

func kindOf(call *ast.CallExpr) string {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	kind := callKinds["."+selector.Sel.Name]
	if from, ok := selector.X.(*ast.Ident); ok && kind == "" {
		kind = callKinds[from.Name+"."+selector.Sel.Name]
	}
	if kind == "print" && (isConstant(call.Args) || writesToBuffer(call)) {
		return ""
	}
	return kind
}

// isConstant reports whether all printed arguments are literals; the first argument may be the
// writer.
func isConstant(args []ast.Expr) bool {
	for i, arg := range args {
		_, literal := arg.(*ast.BasicLit)
		if !literal && i > 0 {
			return false
		}
	}
	return true
}

// writesToBuffer reports whether a print call appends to a string: its first argument is &text.
func writesToBuffer(call *ast.CallExpr) bool {
	if len(call.Args) == 0 {
		return false
	}
	address, ok := call.Args[0].(*ast.UnaryExpr)
	return ok && address.Op == token.AND
}
