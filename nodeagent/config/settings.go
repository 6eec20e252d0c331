// Package config resolves the agent's settings. Each setting has one name in three spellings, and
// the first source that has a value wins:
//
//	the flag                   --identity-dir
//	the environment            MOORING_IDENTITY_DIR
//	the configuration file     identityDir
//	the default
//
// Pairing codes are not settings: they are secrets that are used once.
package config

import (
	"cmp"
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

// Setting is one setting. Its value is a text.
type Setting struct {
	// Flag is the name of the setting on the command line, and Key its name in the file.
	Flag, Key string
	// Default is the value when no source has one. It is empty when the default depends on the
	// machine; Usage then describes it.
	Default string
	// Usage is one sentence that contains the placeholder of the value in backquotes.
	Usage string
	// Check returns the error of an invalid value; it is not called for an empty value.
	Check func(string) error
}

// Env returns the name of the setting in the environment.
func (s Setting) Env() string {
	return "MOORING_" + strings.ToUpper(strings.ReplaceAll(s.Flag, "-", "_"))
}

// Settings are all settings of the agent.
var Settings = []Setting{
	{"pairing", "pairing", "", "`HOST:PORT` of the pairing listener", checkEndpoint},
	{"name", "name", "", "`NAME` of the Node (default: from the host name)", checkNodeName},
	{"identity-dir", "identityDir", "", "`DIR` for the identity and the journal (default: " + identityDirHelp + ")", nil},
	{"log-format", "logFormat", "text", "`FORMAT` of the log: text or json", oneOf("text", "json")},
	{"log-level", "logLevel", "info", "`LEVEL` of the log: debug, info, warn or error", oneOf("debug", "info", "warn", "error")},
	{"log-file", "logFile", "", "`FILE` for the log, kept to 3 of 10 MiB (default: standard error)", nil},
	{"rotate-key-every", "rotateKeyEvery", "720h", "`AGE` of the private key, such as 720h, at which the next renewal makes a new one; 0 keeps it", checkAge},
	{"transport", "transport", "auto", "`HOW` sessions are carried: stream, poll (for networks that break streams) or auto (streams until they break repeatedly)", oneOf("stream", "poll", "auto")},
	{"capabilities-dir", "capabilitiesDir", "", "`DIR` with the files of this machine's own capabilities (default: capabilities.d in the identity directory)", nil},
	{"mediation-policy", "mediationPolicy", "", "`FILE` with the rules for asking, allowing and denying on this machine (default: mediation.yaml in the identity directory)", nil},
	{"desktop", "desktop", "auto", "`WHETHER` desktop.open_url and desktop.open_path are offered: on, off, or auto (where there is a display)", oneOf("auto", "on", "off")},
	{"prompt", "prompt", "auto", "`WHETHER` local mediation asks at this terminal: auto (when the agent has it in the foreground) or never", oneOf("auto", "never")},
	{"service-account-token-file", "serviceAccountTokenFile", "", "in a pod: `FILE` with a projected token, instead of a code", nil},
	{"gateway-ca", "gatewayCA", "", "in a pod: `FILE` with the CA bundle of the gateways, PEM", nil},
}

// settingByFlag returns the setting of a flag. The setting exists, because flags are named in code.
func settingByFlag(flag string) Setting {
	for _, s := range Settings {
		if s.Flag == flag {
			return s
		}
	}
	panic("no setting has the flag --" + flag)
}

func settingByKey(key string) (Setting, bool) {
	for _, s := range Settings {
		if s.Key == key {
			return s, true
		}
	}
	return Setting{}, false
}

// FileKeys returns the keys of the settings whose values are paths of files and folders.
func FileKeys() []string {
	var keys []string
	for _, s := range Settings {
		if strings.HasPrefix(s.Usage, "`DIR`") || strings.HasPrefix(s.Usage, "`FILE`") {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

// AddFlag adds the flag of a setting to a command; Resolve sets its value.
func AddFlag(set *pflag.FlagSet, value *string, flag string) {
	s := settingByFlag(flag)
	set.StringVar(value, s.Flag, s.Default, s.Usage)
}

// Resolved is the value of a setting and the source of that value.
type Resolved struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	// Source is default, --FLAG, MOORING_VARIABLE, or FILE:LINE.
	Source string `json:"source"`
}

// Resolve resolves every setting and sets the flags that set contains. It returns an error for each
// invalid value that would be used, one a line with its source. The default replaces each invalid
// value.
func Resolve(set *pflag.FlagSet, getenv func(string) string, file File) ([]Resolved, error) {
	var all []Resolved
	var errs []error
	for _, s := range Settings {
		flag := set.Lookup(s.Flag)
		value, source := s.Default, "default"
		if fromFile := file.values[s.Key]; fromFile.text != "" {
			value, source = fromFile.text, file.position(fromFile.line)
		}
		if text := getenv(s.Env()); text != "" {
			value, source = text, s.Env()
		}
		if flag != nil && flag.Changed {
			value, source = flag.Value.String(), "--"+s.Flag
		}
		if err := s.check(value); err != nil {
			errs = append(errs, &valueError{source: source, key: s.Key, err: err})
			value, source = s.Default, "default"
		}
		if flag != nil && flag.Value.String() != value {
			if err := flag.Value.Set(value); err != nil {
				return nil, err
			}
		}
		all = append(all, Resolved{Key: s.Key, Value: value, Source: source})
	}
	return all, errors.Join(errs...)
}

func (s Setting) check(value string) error {
	if s.Check == nil || value == "" {
		return nil
	}
	return s.Check(value)
}

// valueError is an invalid value and its source.
type valueError struct {
	source, key string
	err         error
}

func (e *valueError) Error() string {
	if strings.HasPrefix(e.source, "--") || strings.HasPrefix(e.source, "MOORING_") {
		return e.source + " " + e.err.Error()
	}
	return cmp.Or(e.source, "configuration") + ": " + e.key + " " + e.err.Error()
}

func (e *valueError) Unwrap() error { return e.err }
