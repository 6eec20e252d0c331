package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/mooring-dev/mooring/nodeagent/ownfile"
)

func writeConfig(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func loadConfig(t *testing.T, content string) File {
	t.Helper()
	f, err := Load(writeConfig(t, content), true)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTheFlagBeatsTheEnvironmentBeatsTheFileBeatsTheDefault(t *testing.T) {
	for name, c := range map[string]struct {
		args         []string
		env          string
		file         string
		value, place string
	}{
		"no value anywhere":                   {nil, "", "", "info", "default"},
		"the file":                            {nil, "", "logLevel: warn\n", "warn", ":1"},
		"the environment":                     {nil, "error", "logLevel: warn\n", "error", "MOORING_LOG_LEVEL"},
		"the flag":                            {[]string{"--log-level", "debug"}, "error", "logLevel: warn\n", "debug", "--log-level"},
		"the flag, though it has the default": {[]string{"--log-level", "info"}, "error", "logLevel: warn\n", "info", "--log-level"},
		"an empty value in the file":          {nil, "", "logLevel:\n", "info", "default"},
		"comments only":                       {nil, "", "# logLevel: warn\n", "info", "default"},
	} {
		t.Run(name, func(t *testing.T) {
			set := pflag.NewFlagSet("x", pflag.ContinueOnError)
			var level string
			AddFlag(set, &level, "log-level")
			if err := set.Parse(c.args); err != nil {
				t.Fatal(err)
			}
			all, err := Resolve(set, func(name string) string {
				return map[string]string{"MOORING_LOG_LEVEL": c.env}[name]
			}, loadConfig(t, c.file))
			if err != nil {
				t.Fatal(err)
			}
			if len(all) != len(Settings) {
				t.Errorf("%d settings resolved, want %d", len(all), len(Settings))
			}
			for _, r := range all {
				if r.Key == "logLevel" && (r.Value != c.value || !strings.HasSuffix(r.Source, c.place)) {
					t.Errorf("got %+v, want %s from %s", r, c.value, c.place)
				}
			}
			if level != c.value {
				t.Errorf("the flag holds %q, want %q", level, c.value)
			}
		})
	}
}

func TestAWrongValueNamesThePlaceThatCounts(t *testing.T) {
	set := pflag.NewFlagSet("x", pflag.ContinueOnError)
	var transport string
	AddFlag(set, &transport, "transport")
	none := func(string) string { return "" }
	file := loadConfig(t, "logFormat: json\ntransport: pigeon\n")
	if _, err := Resolve(set, none, file); err == nil || !strings.Contains(err.Error(), `config.yaml:2: transport "pigeon" is none of stream, poll, auto`) {
		t.Errorf("got %v", err)
	}
	if _, err := Resolve(set, func(string) string { return "" }, File{}); err != nil {
		t.Errorf("nothing given: %v", err)
	}
	bad := func(name string) string { return map[string]string{"MOORING_TRANSPORT": "raven"}[name] }
	if _, err := Resolve(set, bad, file); err == nil || !strings.HasPrefix(err.Error(), `MOORING_TRANSPORT "raven" is none of`) {
		t.Errorf("got %v", err)
	}
	// An invalid value that is not used is no error.
	good := func(name string) string { return map[string]string{"MOORING_TRANSPORT": "poll"}[name] }
	if _, err := Resolve(set, good, file); err != nil || transport != "poll" {
		t.Errorf("got %q, %v", transport, err)
	}
}

func TestMistakesInTheFileNameTheirLine(t *testing.T) {
	for name, c := range map[string]struct{ content, says string }{
		"an unknown key":      {"name: box\nidentity-dir: /x\n", `config.yaml:2: unknown key "identity-dir"; the keys are capabilitiesDir, desktop`},
		"a pairing code":      {"code: K7QX2M-482913\n", `config.yaml:1: unknown key "code"`},
		"a key given twice":   {"name: box\nname: fox\n", "config.yaml:2: name is given twice"},
		"a list":              {"name: [box]\n", "config.yaml:1: name must be one text"},
		"no mapping":          {"\n- name\n", "config.yaml:2: it must hold lines"},
		"two documents":       {"name: box\n---\nname: fox\n", "one document"},
		"no YAML":             {"name: 'box\n", "config.yaml: yaml: line"},
		"all of them at once": {"a: 1\nname: box\nb: 2\n", "config.yaml:3: unknown key \"b\""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(writeConfig(t, c.content), true)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
			if err != nil && strings.Contains(err.Error(), "482913") {
				t.Error("the code is repeated")
			}
		})
	}
}

func TestValuesInTheFileAreCheckedWithTheirLines(t *testing.T) {
	err := loadConfig(t, "rotateKeyEvery: monthly\nname: box\npairing: nowhere\n").Check()
	if err == nil || !strings.Contains(err.Error(), `config.yaml:1: rotateKeyEvery "monthly"`) || !strings.Contains(err.Error(), "config.yaml:3: pairing") {
		t.Errorf("got %v", err)
	}
}

func TestAFileThatIsNotThereSaysNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	if f, err := Load(path, false); err != nil || f.Found {
		t.Errorf("got %+v, %v", f, err)
	}
	if _, err := Load(path, true); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that was asked for: %v", err)
	}
}

func TestAFileThatOthersCanWriteIsNotUsed(t *testing.T) {
	path := writeConfig(t, "name: box\n")
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, false); !errors.Is(err, ownfile.ErrUnsafe) {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsWrittenIsReadAgainAndDocumentsEverySetting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "below", "config.yaml")
	values := map[string]string{"pairing": "gw.example.com:7443", "name": "on", "rotateKeyEvery": "0"}
	for _, want := range []bool{true, false} {
		if changed, err := Write(path, values); err != nil || changed != want {
			t.Fatalf("changed %t, %v; want %t", changed, err, want)
		}
	}
	f, err := Load(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(values, f.Values()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Settings {
		if !strings.Contains(string(content), s.Key+":") {
			t.Errorf("%s is not in the file", s.Key)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("name: box\n# x\nlogLevel: info\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("? {x: y}\n: z\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		values, err := parseFile("f", content)
		if err != nil {
			return
		}
		for key := range values {
			if _, known := settingByKey(key); !known {
				t.Errorf("unknown key %q was taken", key)
			}
		}
	})
}
