package program

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/jsontext"
	"github.com/mooring-dev/mooring/nodeagent/ownfile"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/process"
)

// maxArgumentBytes is Linux's bound for one argument (MAX_ARG_STRLEN), without the NUL.
const maxArgumentBytes = 128<<10 - 1

// Program is a capability that a file declares.
type Program struct {
	// Path is the path of the file.
	Path string

	name, description string
	argv              []argument
	schema            json.RawMessage
	mediation         capability.Mediation
	timeout           time.Duration
	user              *account
	environment       []string
	json              bool
	loadError         error
}

// Name returns the file's base name without .yaml.
func (p *Program) Name() string { return p.name }

// Description returns the description of the file.
func (p *Program) Description() string { return p.description }

// Schema returns the input schema of the file.
func (p *Program) Schema() json.RawMessage { return p.schema }

// Mediation returns the mediation of the file.
func (p *Program) Mediation() capability.Mediation { return p.mediation }

// Limit returns the timeout of the file.
func (p *Program) Limit() time.Duration { return p.timeout }

// Unavailable returns the present problem of the file or of its program, or "".
func (p *Program) Unavailable() string {
	err := p.loadError
	if err == nil {
		err = ownfile.CheckProgram(p.argv[0].literal)
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// Check rejects parameters that cannot be passed as one argument each, or that the program could
// take for an option.
func (p *Program) Check(input json.RawMessage) error {
	_, err := p.arguments(input)
	return err
}

// Target returns the command line, quoted, and the input.
func (p *Program) Target(input json.RawMessage) (string, error) {
	argv, err := p.arguments(input)
	if err != nil {
		return "", err
	}
	quoted := make([]string, len(argv))
	for i, argument := range argv {
		if quoted[i] = argument; argument == "" || strings.ContainsAny(argument, " \t\n\"'\\") {
			quoted[i] = strconv.Quote(argument)
		}
	}
	return strings.Join(quoted, " ") + " < " + string(input), nil
}

// arguments returns the command line with the parameters filled in from the input.
func (p *Program) arguments(input json.RawMessage) ([]string, error) {
	decoder := json.NewDecoder(bytes.NewReader(input))
	decoder.UseNumber()
	var values map[string]any
	if err := decoder.Decode(&values); err != nil {
		return nil, errors.New("the input must be a JSON object")
	}
	var argv []string
	for _, a := range p.argv {
		value, present := values[a.Parameter]
		switch {
		case a.Parameter == "":
			argv = append(argv, a.literal)
		case !present && a.Optional:
		case !present:
			return nil, fmt.Errorf("parameter %q is missing", a.Parameter)
		default:
			text, err := a.formatValue(value)
			if err != nil {
				return nil, fmt.Errorf("parameter %q: %w", a.Parameter, err)
			}
			argv = append(argv, text)
		}
	}
	return argv, nil
}

func (a argument) formatValue(value any) (string, error) {
	var text string
	switch v := value.(type) {
	case string:
		text = v
	case json.Number:
		text = v.String()
	case bool:
		text = strconv.FormatBool(v)
	default:
		return "", errors.New("only a text, a number or a boolean can be an argument")
	}
	switch {
	case strings.ContainsRune(text, 0):
		return "", errors.New("it contains a NUL, which an argument cannot")
	case a.Prefix == "" && strings.HasPrefix(text, "-"):
		return "", errors.New("it begins with a dash, so the program could take it for an option")
	case len(a.Prefix)+len(text) > maxArgumentBytes:
		return "", fmt.Errorf("it is longer than the %d bytes an argument can have", maxArgumentBytes)
	}
	return a.Prefix + text, nil
}

// Run runs the program to its end.
func (p *Program) Run(ctx context.Context, request capability.Request) (json.RawMessage, error) {
	argv, err := p.arguments(request.Input)
	if err != nil {
		return nil, err
	}
	executable, err := ownfile.OpenProgram(p.argv[0].literal)
	if err != nil {
		return nil, &capability.Error{Code: "CapabilityUnavailable", Message: err.Error()}
	}
	defer executable.Close()
	environment := append(p.environment[:len(p.environment):len(p.environment)],
		"MOORING_DISPATCH_UID="+foreign.EscapeExactly(request.DispatchUID),
		"MOORING_REQUESTED_BY="+foreign.EscapeExactly(request.RequestedBy),
		"MOORING_PROGRESS_FD=3")
	result, err := process.Run(ctx, process.Command{
		Argv: argv, Program: executable.File(), Env: environment, Stdin: request.Input, User: p.user.credential(), Mark: request.RunID,
		MaxOutput: request.MaxOutputBytes + 1, Progress: request.Progress,
	})
	switch {
	case ctx.Err() != nil && errors.Is(err, process.ErrSurvivors):
		return nil, err
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, newFailure(err, result)
	}
	return p.parseOutput(result)
}

// parseOutput converts standard output to JSON. Output over the bound becomes a text that is also
// over the bound, so that it is cut and marked as truncated.
func (p *Program) parseOutput(result process.Result) (json.RawMessage, error) {
	if p.json && !result.Overflow {
		if len(bytes.TrimSpace(result.Output)) == 0 {
			return nil, &capability.Error{Code: "InvalidOutput", Message: "the program printed nothing where JSON was expected"}
		}
		return bytes.TrimSpace(result.Output), nil
	}
	// An invalid character, or one that is cut in the middle, becomes U+FFFD.
	return jsontext.Marshal(string(result.Output))
}

// newFailure returns an error with the way in which a program ended and the end of its output.
func newFailure(err error, result process.Result) error {
	text := "the program could not be run: " + err.Error()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		text = "the program ended with " + exit.String()
	}
	if errors.Is(err, process.ErrSurvivors) {
		text += "; " + process.ErrSurvivors.Error()
	}
	output := strings.TrimSpace(string(result.Errors))
	if output == "" {
		output = strings.TrimSpace(string(result.Output[:min(len(result.Output), 512)]))
	}
	if output != "" {
		text += "; it said: " + strings.ToValidUTF8(output[max(0, len(output)-512):], "\uFFFD")
	}
	return &capability.Error{Code: "CapabilityFailed", Message: text}
}
