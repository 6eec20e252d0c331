package mediation

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/nodeagent/ownfile"
	"github.com/mooring-dev/mooring/nodeagent/yamlfile"
)

// allCapabilities is the Capability of a rule for every capability.
const allCapabilities = "*"

// typeSuffix matches a type in the form that desktop.open_path compares: one dot, lower case.
var typeSuffix = regexp.MustCompile(`^\.[a-z0-9_+-]+$`)

// defaultTimeout is the time a person has to answer.
const defaultTimeout = 5 * time.Minute

// Decision is the decision of a rule.
type Decision string

// The verdicts.
const (
	Ask   Decision = "ask"
	Allow Decision = "allow"
	Deny  Decision = "deny"
)

// Rules are the policy file of a machine. Without a file, every run that needs a person is asked.
type Rules struct {
	// Timeout is the time a person has to answer, such as 2m. Default 5m.
	Timeout string `yaml:"timeout"`
	// Rules are tried in order; the first rule that matches decides.
	Rules []Rule `yaml:"rules"`
	// OpenURL bounds desktop.open_url, whatever a person answers.
	OpenURL URLRules `yaml:"openURL"`
	// OpenPath lists the file types that desktop.open_path opens without a warning.
	OpenPath PathRules `yaml:"openPath"`

	timeout time.Duration
}

// Rule decides about the runs that it matches.
type Rule struct {
	// Capability is a name, or prefix.* for all names below it, or * for all.
	Capability string `yaml:"capability"`
	// Target is a pattern for the whole target: * matches any text without a slash, ** matches
	// any text. An empty pattern matches every target.
	Target   string   `yaml:"target"`
	Decision Decision `yaml:"decision"`

	target *regexp.Regexp
}

// URLRules list the addresses that may be opened at all.
type URLRules struct {
	// Schemes default to https alone.
	Schemes []string `yaml:"schemes"`
	// Hosts, unless empty, lists the only allowed hosts; *.example.com is every host below it.
	Hosts []string `yaml:"hosts"`
	// DenyHosts are refused, even when Hosts lists them.
	DenyHosts []string `yaml:"denyHosts"`
}

// PathRules list the file types that this machine knows.
type PathRules struct {
	// Types are suffixes such as .odt. This machine only shows files of these types, so they need
	// no warning.
	Types []string `yaml:"types"`
}

// DefaultRules are the rules of a machine without a policy file.
func DefaultRules() *Rules { return &Rules{timeout: defaultTimeout} }

// LoadRules reads a policy file. It returns the default rules when the file does not exist.
func LoadRules(path string) (*Rules, error) {
	content, err := ownfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		content, err = nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("mediation policy: %w", err)
	}
	rules, err := parseRules(content)
	if err != nil {
		return nil, fmt.Errorf("mediation policy %s: %w", path, err)
	}
	return rules, nil
}

func parseRules(content []byte) (*Rules, error) {
	r := DefaultRules()
	if err := yamlfile.Decode(content, r); err != nil {
		return nil, err
	}
	if r.Timeout != "" {
		var err error
		if r.timeout, err = time.ParseDuration(r.Timeout); err != nil || r.timeout <= 0 {
			return nil, fmt.Errorf("timeout %q is not a duration such as 2m", r.Timeout)
		}
	}
	for _, suffix := range r.OpenPath.Types {
		if !typeSuffix.MatchString(suffix) {
			return nil, fmt.Errorf("openPath: type %q is not a suffix such as .odt, in lower case", suffix)
		}
	}
	for i := range r.Rules {
		if err := r.Rules[i].compile(); err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	return r, nil
}

func (r *Rule) compile() (err error) {
	switch {
	case r.Capability == "":
		return errors.New("capability is missing; write * for all")
	case r.Capability != allCapabilities && capabilityname.HasMisplacedStar(r.Capability):
		return fmt.Errorf("capability %q is neither a name nor prefix.* nor *", r.Capability)
	case r.Decision != Ask && r.Decision != Allow && r.Decision != Deny:
		return fmt.Errorf("decision %q is none of ask, allow, deny", r.Decision)
	}
	r.target, err = compilePattern(r.Target)
	return err
}

// compilePattern compiles a pattern into an expression that is anchored at both ends.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		pattern = "**"
	}
	var expression strings.Builder
	expression.WriteString(`(?s)\A`)
	for i, part := range strings.Split(pattern, "**") {
		if i > 0 {
			expression.WriteString(`.*`)
		}
		for j, literal := range strings.Split(part, "*") {
			if j > 0 {
				expression.WriteString(`[^/]*`)
			}
			expression.WriteString(regexp.QuoteMeta(literal))
		}
	}
	return regexp.Compile(expression.String() + `\z`)
}

// evaluate returns the verdict for a question. A run without a matching rule is asked if the
// capability requires it or the question has a warning; otherwise it is allowed.
func (r *Rules) evaluate(q Question) Decision {
	for _, rule := range r.Rules {
		if rule.matchesCapability(q.Capability) && rule.target.MatchString(q.Target) {
			if rule.Decision == Allow && q.Warning != "" {
				return Ask
			}
			return rule.Decision
		}
	}
	if q.MediationRequired || q.Warning != "" {
		return Ask
	}
	return Allow
}

func (r *Rule) matchesCapability(capability string) bool {
	return r.Capability == allCapabilities || capabilityname.Covers(r.Capability, capability)
}
