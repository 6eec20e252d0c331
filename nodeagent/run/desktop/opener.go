package desktop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/mooring-dev/mooring/internal/jsontext"
	"github.com/mooring-dev/mooring/nodeagent/ownfile"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/mediation"
	"github.com/mooring-dev/mooring/nodeagent/run/process"
)

// launchWait is the time that an opener is watched for a failure. An opener that still runs after
// it has become the program that it opened, or waits for that program.
const launchWait = 3 * time.Second

// Opener is the program of this desktop that opens files and addresses. It is looked up once, at
// the start: a later change of the PATH does not change the program.
type Opener struct {
	argv              []string
	environment       []string
	unavailableReason string
}

// openers are the openers by operating system: the program, then its fixed arguments.
var openers = map[string][]string{
	"linux": {"xdg-open"}, "freebsd": {"xdg-open"}, "openbsd": {"xdg-open"}, "netbsd": {"xdg-open"},
	"darwin": {"open"}, "windows": {"rundll32", "url.dll,FileProtocolHandler"},
}

// sessionVariables are the variables by which a program finds the desktop of its user.
var sessionVariables = []string{"DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "PATH",
	"DESKTOP_SESSION", "SystemRoot", "USERPROFILE", "APPDATA", "LOCALAPPDATA"}

// FindOpener looks up the opener on the agent's own PATH.
func FindOpener() *Opener {
	o := &Opener{environment: sessionEnvironment(os.Environ())}
	command, known := openers[runtime.GOOS]
	if !known {
		o.unavailableReason = "no program that opens things is known on " + runtime.GOOS
		return o
	}
	path, err := exec.LookPath(command[0]) // LookPath returns an error for a path that is not absolute
	if err != nil {
		o.unavailableReason = command[0] + " is not on the PATH of the agent"
		return o
	}
	if err := ownfile.CheckProgram(path); err != nil {
		o.unavailableReason = err.Error()
		return o
	}
	if needsDisplay() && os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		o.unavailableReason = "the agent has no display: neither DISPLAY nor WAYLAND_DISPLAY is set"
	}
	o.argv = append([]string{path}, command[1:]...)
	return o
}

func needsDisplay() bool { return runtime.GOOS != "darwin" && runtime.GOOS != "windows" }

// UnavailableReason returns the reason why nothing can be opened; empty when there is none.
func (o *Opener) UnavailableReason() string { return o.unavailableReason }

func (o *Opener) open(ctx context.Context, target string) error {
	if o.unavailableReason != "" {
		return errors.New(o.unavailableReason)
	}
	// A program that was replaced since the start is detected here.
	program, err := ownfile.OpenProgram(o.argv[0])
	if err != nil {
		return err
	}
	defer program.Close()
	err = process.Launch(ctx, program.File(), append(o.argv[:len(o.argv):len(o.argv)], target), o.environment, launchWait)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return fmt.Errorf("%s ended with %w", o.argv[0], err)
	}
	return err
}

func sessionEnvironment(all []string) []string {
	var kept []string
	for _, variable := range all {
		name, _, _ := strings.Cut(variable, "=")
		if slices.Contains(sessionVariables, name) || strings.HasPrefix(name, "XDG_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// openCapability is desktop.open_url or desktop.open_path.
type openCapability struct {
	opener                      *Opener
	name, property, description string
	canonicalize                func(string) (string, error)
	// warning returns the warning about a target; it is nil for a capability without warnings.
	warning func(target string) string
}

// Capabilities returns desktop.open_url and desktop.open_path; rules is called for every URL and
// for every warning about a path.
func Capabilities(opener *Opener, rules func() (*mediation.Rules, error)) []capability.Capability {
	return []capability.Capability{
		&openCapability{opener: opener, name: "desktop.open_url", property: "url", description: "Opens a web address on the screen of this machine.",
			canonicalize: func(text string) (string, error) {
				r, err := rules()
				if err != nil {
					return "", errors.New("the mediation policy of this machine cannot be used; the log of its agent has the reason")
				}
				return CanonicalURL(text, r.OpenURL)
			}},
		&openCapability{opener: opener, name: "desktop.open_path", property: "path", description: "Opens a file or a directory on the screen of this machine.",
			canonicalize: CanonicalPath, warning: func(target string) string {
				r, err := rules()
				if err != nil {
					return "the mediation policy of this machine cannot be used; the log of its agent has the reason"
				}
				return typeWarning(target, r.OpenPath.Types)
			}},
	}
}

// Name returns desktop.open_url or desktop.open_path.
func (c *openCapability) Name() string { return c.name }

// Description returns a sentence for people.
func (c *openCapability) Description() string { return c.description }

// Schema returns a schema with the one parameter, which is required.
func (c *openCapability) Schema() json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"type":"object","additionalProperties":false,"required":[%q],"properties":{%q:{"type":"string","maxLength":%d}}}`,
		c.property, c.property, maxPathBytes))
}

// Mediation returns MediationLocal: the person whose screen it is decides.
func (c *openCapability) Mediation() capability.Mediation { return capability.MediationLocal }

// Unavailable returns the reason why the opener cannot be used; empty when it can.
func (c *openCapability) Unavailable() string { return c.opener.UnavailableReason() }

// Target returns the one form in which the address or path is checked, shown and opened.
func (c *openCapability) Target(input json.RawMessage) (string, error) {
	var values map[string]string
	if err := json.Unmarshal(input, &values); err != nil {
		return "", errors.New("the input must be a JSON object of texts")
	}
	target, err := c.canonicalize(values[c.property])
	if err != nil {
		return "", fmt.Errorf("%s: %w", c.property, err)
	}
	return target, nil
}

// Warning returns a warning for a person about a target; it is empty for a target that is only
// displayed.
func (c *openCapability) Warning(target string) string {
	if c.warning == nil {
		return ""
	}
	return c.warning(target)
}

// Run opens the target that the person was shown, unless the target has changed since.
func (c *openCapability) Run(ctx context.Context, request capability.Request) (json.RawMessage, error) {
	target, err := c.Target(request.Input)
	if err != nil || target != request.Target || c.Warning(target) != request.Warning {
		return nil, &capability.Error{Code: "TargetChanged", Message: "the target changed after the decision; nothing was opened"}
	}
	if err := c.opener.open(ctx, target); err != nil {
		return nil, err
	}
	return jsontext.Marshal(map[string]string{"opened": target})
}
