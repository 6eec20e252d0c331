package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	library "github.com/kardianos/service"
)

const (
	// exitNoPermission is systemctl's exit status for missing permission (LSB).
	exitNoPermission = 4
	// stopTimeout bounds the wait of the manager for the end of a stopped agent. The agent gives
	// capabilities 5 s and ends its session within 3 s.
	stopTimeout = "30s"
)

// unitFile returns the unit file (systemd.service(5)), in the library's template language.
//
//   - Wants and After of mounts: the disks of the agent's files are mounted first.
//   - Restart: systemd restarts the agent after every end except a decision about its pairing, which
//     another start cannot change. A configuration, an identity or a program that is missing or
//     unsafe (exit codes 2 and 8) can be there a moment later, on a disk that systemd does not
//     know.
//   - KillMode=mixed: systemd sends SIGTERM to the agent alone; the agent ends its programs itself.
func unitFile(user bool, files []string) string {
	order, target := "Wants=network-online.target\nAfter=network-online.target\n", "multi-user.target"
	if user {
		order, target = "", "default.target"
	}
	return `[Unit]
Description={{Description}}
` + order + mounts(files) + `StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={{Path | cmdEscape}}{{range Arguments}} {{. | cmd}}{{end}}
Restart=always
RestartSec=5
RestartPreventExitStatus=3 4 5 6 7 9
KillMode=mixed
TimeoutStopSec=` + stopTimeout + `
UMask=0077

[Install]
WantedBy=` + target + `
`
}

// mounts returns Wants= and After= (systemd.unit(5)) for the mounts that may hold the paths and the
// targets of their links. A unit may name mounts that systemd does not know; systemd ignores them.
// The unit does not use RequiresMountsFor=: after one failed mount, systemd would never start the
// agent.
func mounts(files []string) string {
	var units []string
	for _, path := range files {
		units = append(units, mountUnits(path)...)
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			units = append(units, mountUnits(resolved)...)
		}
	}
	if len(units) == 0 {
		return ""
	}
	slices.Sort(units)
	list := strings.Join(slices.Compact(units), " ")
	return "Wants=" + list + "\nAfter=" + list + "\n"
}

// maxUnitName is the length of the longest name of a unit.
const maxUnitName = 255

// mountUnits returns the names of the mount units of a path and of the folders above it, without
// the root.
func mountUnits(path string) (units []string) {
	if !filepath.IsAbs(path) {
		return nil
	}
	for path = filepath.Clean(path); path != "/"; path = filepath.Dir(path) {
		if unit := escapePath(path) + ".mount"; len(unit) <= maxUnitName {
			units = append(units, unit)
		}
	}
	return units
}

// escapePath returns a path in the form of unit names (systemd-escape --path).
func escapePath(path string) string {
	var name strings.Builder
	for i, c := range []byte(strings.TrimPrefix(path, "/")) {
		switch {
		case c == '/':
			name.WriteByte('-')
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == ':', c == '_', c == '.' && i > 0:
			name.WriteByte(c)
		default:
			fmt.Fprintf(&name, `\x%02x`, c)
		}
	}
	return name.String()
}

// checkReachable returns an error unless systemd runs. The systemd of a user runs while the user is
// logged in, or lingers (loginctl(1)).
func (m *manager) checkReachable() error {
	if library.Platform() != "linux-systemd" {
		return fmt.Errorf("%w: systemd does not run here; run `mooring-agent run` with the process manager of this machine", ErrNoManager)
	}
	if !m.user {
		return nil
	}
	runtime := os.Getenv("XDG_RUNTIME_DIR")
	if runtime == "" {
		runtime = filepath.Join("/run/user", strconv.Itoa(os.Getuid()))
	}
	if _, err := os.Stat(filepath.Join(runtime, "systemd")); err != nil {
		return fmt.Errorf("%w: the systemd of this user does not run; log in as the user (su does not), or run: sudo loginctl enable-linger %d; or make it a service of the machine, with sudo",
			ErrNoManager, os.Getuid())
	}
	return os.Setenv("XDG_RUNTIME_DIR", runtime)
}

// systemctl returns the command line of systemctl for this scope.
func (m *manager) systemctl(args ...string) []string {
	if m.user {
		args = append([]string{"--user"}, args...)
	}
	return append([]string{"systemctl"}, args...)
}

// Status queries systemd itself, because the library takes "deactivating" for not installed.
func (m *manager) Status(ctx context.Context) (Status, error) {
	var out bytes.Buffer
	err := runCommand(ctx, &out, m.systemctl("show", "--property=LoadState,ActiveState,SubState,Result,ExecMainStatus", Name+".service")...)
	if err != nil {
		return Status{}, errors.Join(err, errors.New(strings.TrimSpace(out.String())))
	}
	return parseShow(out.String()), nil
}

// parseShow reads KEY=VALUE lines of systemctl show.
func parseShow(text string) Status {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[key] = value
	}
	if values["LoadState"] != "loaded" {
		return Status{State: NotInstalled}
	}
	s := Status{Detail: values["SubState"]}
	if values["Result"] != "success" {
		s.Detail += ", " + values["Result"]
		if code := values["ExecMainStatus"]; code != "" && code != "0" {
			s.Detail += ", exit status " + code
		}
	}
	switch values["ActiveState"] {
	case "inactive":
		s.State = Stopped
	case "failed":
		s.State = Failed
	default:
		s.State = Running
	}
	return s
}

// Logs copies the lines of the service from the journal. The journal of a user may be part of the
// machine's journal, which members of the group systemd-journal can read.
func (m *manager) Logs(ctx context.Context, out io.Writer, follow bool) error {
	argv := []string{"journalctl", "--unit=" + Name, "--no-pager", "--lines=200", "--output=cat"}
	if m.user {
		argv[1] = "--user-unit=" + Name
	}
	if follow {
		argv = append(argv, "--follow")
	}
	return runCommand(ctx, out, argv...)
}

// OtherScopeHint returns a hint about a service in the other scope, which this process does not
// manage. It returns "" when there is none.
func OtherScopeHint() string {
	if os.Geteuid() == 0 {
		return ""
	}
	if _, err := os.Stat(filepath.Join("/etc/systemd/system", Name+".service")); err != nil {
		return ""
	}
	return "; there is one of the whole machine: use sudo"
}
