// Package program turns files into capabilities: programs of the machine's user that the cluster
// may run, declared in a folder that the agent watches.
//
// The file NAME.yaml declares the capability NAME. An unusable file disables only itself, and the
// inventory shows the reason. Package process runs the programs: never through a shell, with each
// argument as it is given.
package program

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/inputschema"
	"github.com/mooring-dev/mooring/internal/jsontext"
	"github.com/mooring-dev/mooring/nodeagent/ownfile"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/process"
	"github.com/mooring-dev/mooring/nodeagent/yamlfile"
)

const (
	fileSuffix          = ".yaml"
	defaultTimeout      = 24 * time.Hour
	maxDescriptionBytes = 512
)

// capabilityFile is the content of a capability file.
type capabilityFile struct {
	// Name repeats the file's name.
	Name string `yaml:"name"`
	// Description is one sentence for people.
	Description string `yaml:"description"`
	// Argv is the program, an absolute path, and its arguments.
	Argv []argument `yaml:"argv"`
	// InputSchema is a JSON schema; the default takes no input.
	InputSchema map[string]any `yaml:"inputSchema"`
	// Timeout bounds the run time, such as 10m.
	Timeout string `yaml:"timeout"`
	// Mediation is none or local.
	Mediation string `yaml:"mediation"`
	// RunAs is a user name. An agent that runs as root requires it.
	RunAs string `yaml:"runAs"`
	// Environment adds variables to the program's environment.
	Environment environment `yaml:"environment"`
	// Output is the format of standard output: text (default) or json.
	Output string `yaml:"output"`
}

// environment adds variables to the fixed ones.
type environment struct {
	// Allow names variables of the agent's own environment.
	Allow []string `yaml:"allow"`
	// Set gives variables a value.
	Set map[string]string `yaml:"set"`
}

// argument is a fixed text, or the value of a parameter.
type argument struct {
	literal string
	// Parameter names a property of the input. Prefix is put before its value, in the
	// same argument. Optional leaves the argument out when the input has no such property.
	Parameter string `yaml:"parameter"`
	Prefix    string `yaml:"prefix"`
	Optional  bool   `yaml:"optional"`
}

// UnmarshalYAML reads a string or {parameter: …}.
func (a *argument) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return node.Decode(&a.literal)
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if key := node.Content[i].Value; !slices.Contains([]string{"parameter", "prefix", "optional"}, key) {
			return fmt.Errorf("line %d: an argument is a text, or has parameter, prefix and optional; %q is unknown", node.Line, key)
		}
	}
	type plain argument
	if err := node.Decode((*plain)(a)); err != nil {
		return err
	}
	if a.Parameter == "" {
		return fmt.Errorf("line %d: an argument is a text, or names a parameter", node.Line)
	}
	return nil
}

// Load reads one file. It always returns a Program with the file's name. When the file is unusable,
// the Program is unavailable and the error is its reason.
func Load(path string) (*Program, error) {
	p := &Program{Path: path, name: strings.TrimSuffix(filepath.Base(path), fileSuffix)}
	err := p.load()
	if err != nil {
		p.loadError = err
		p.schema, p.mediation = nil, capability.MediationNone
	}
	return p, err
}

func (p *Program) load() error {
	if !capabilityname.Valid(p.name) {
		return fmt.Errorf("the file name %q is not the name of a capability: use dotted lower case, such as backup.run%s", filepath.Base(p.Path), fileSuffix)
	}
	if err := process.Supported(); err != nil {
		return err
	}
	content, err := ownfile.Read(p.Path)
	if err != nil {
		return err
	}
	if err := checkText(content); err != nil {
		return err
	}
	var f capabilityFile
	if err := yamlfile.Decode(content, &f); err != nil {
		return fmt.Errorf("read the file: %w", err)
	}
	return p.applyFile(f)
}

// checkText rejects characters that the cluster could not store or a person could not see.
func checkText(content []byte) error {
	if r, found := foreign.FindUnsafe(string(content)); found {
		return fmt.Errorf("the file holds a character that cannot be shown (%q)", r)
	}
	return nil
}

func (p *Program) applyFile(f capabilityFile) (err error) {
	if f.Name != p.name {
		return fmt.Errorf("name is %q, but the file is called %s%s", f.Name, p.name, fileSuffix)
	}
	if p.description = f.Description; p.description == "" || len(p.description) > maxDescriptionBytes {
		return fmt.Errorf("description must be one sentence of at most %d bytes", maxDescriptionBytes)
	}
	switch f.Mediation {
	case "", "none":
	case "local":
		p.mediation = capability.MediationLocal
	default:
		return fmt.Errorf("mediation %q is neither none nor local", f.Mediation)
	}
	if p.json = f.Output == "json"; !p.json && f.Output != "" && f.Output != "text" {
		return fmt.Errorf("output %q is neither text nor json", f.Output)
	}
	p.timeout = defaultTimeout
	if f.Timeout != "" {
		if p.timeout, err = time.ParseDuration(f.Timeout); err != nil || p.timeout <= 0 {
			return fmt.Errorf("timeout %q is not a duration such as 10m", f.Timeout)
		}
	}
	schema, err := p.applySchema(f.InputSchema)
	if err != nil {
		return err
	}
	if err := p.applyArgv(f.Argv, schema); err != nil {
		return err
	}
	if p.user, err = lookupUser(f.RunAs); err != nil {
		return err
	}
	p.environment, err = f.Environment.build(p.user)
	return err
}

// applySchema stores the schema in the form that the cluster receives, and returns it as a map.
func (p *Program) applySchema(schema map[string]any) (map[string]any, error) {
	if schema == nil {
		p.schema = json.RawMessage(`{"type":"object","additionalProperties":false}`)
		return nil, nil
	}
	converted, err := yamlfile.JSON("inputSchema", schema)
	if err != nil {
		return nil, err
	}
	text, err := jsontext.Marshal(converted)
	if err != nil {
		return nil, fmt.Errorf("inputSchema is not JSON: %w", err)
	}
	if _, err := inputschema.Compile(text); err != nil {
		return nil, fmt.Errorf("inputSchema: %w", err)
	}
	p.schema = text
	return converted.(map[string]any), nil
}

func (p *Program) applyArgv(argv []argument, schema map[string]any) error {
	if len(argv) == 0 || !filepath.IsAbs(argv[0].literal) {
		return errors.New("argv must begin with the absolute path of a program")
	}
	properties, _ := schema["properties"].(map[string]any)
	for _, a := range argv {
		if _, known := properties[a.Parameter]; a.Parameter != "" && !known {
			return fmt.Errorf("argv uses parameter %q, which is not a property of inputSchema", a.Parameter)
		}
		if strings.ContainsRune(a.literal+a.Prefix, 0) {
			return errors.New("an argument contains a NUL")
		}
	}
	p.argv = argv
	return ownfile.CheckProgram(argv[0].literal)
}
