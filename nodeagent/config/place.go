package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// folder is the name of the agent's folder in the directories of a system.
const folder = "mooring-agent"

const identityDirHelp = "/var/lib/mooring-agent as root, else mooring-agent in $XDG_STATE_HOME or ~/.local/state"

// PathHelp describes the path of the configuration file, for help texts.
const PathHelp = "/etc/mooring-agent/config.yaml as root, else mooring-agent/config.yaml in $XDG_CONFIG_HOME or ~/.config"

// System reports whether this process acts for the whole machine and not for one user. Its service,
// configuration and identity are then those of the machine.
func System() bool { return runtime.GOOS == "windows" || os.Geteuid() == 0 }

// Path returns the default path of the configuration file.
func Path() (string, error) {
	switch runtime.GOOS {
	case "windows", "darwin":
		return below("config.yaml")
	}
	if System() {
		return filepath.Join("/etc", folder, "config.yaml"), nil
	}
	return inHome("XDG_CONFIG_HOME", ".config", "config.yaml")
}

// IdentityDir returns the default path of the identity directory.
func IdentityDir() (string, error) {
	switch runtime.GOOS {
	case "windows", "darwin":
		return below("identity")
	}
	if System() {
		return filepath.Join("/var/lib", folder), nil
	}
	return inHome("XDG_STATE_HOME", filepath.Join(".local", "state"), "")
}

// below returns the path of name in the application's one folder on Windows and macOS.
func below(name string) (string, error) {
	if runtime.GOOS == "windows" {
		base := os.Getenv("ProgramData")
		if base == "" {
			base = `C:\ProgramData`
		}
		return filepath.Join(base, folder, name), nil
	}
	if System() {
		return filepath.Join("/Library/Application Support", folder, name), nil
	}
	return inHome("", filepath.Join("Library", "Application Support"), name)
}

// inHome returns a path by the XDG base directories: an absolute path in the variable, or else a
// folder of the home directory.
func inHome(variable, fallback, name string) (string, error) {
	if base := os.Getenv(variable); variable != "" && filepath.IsAbs(base) {
		return filepath.Join(base, folder, name), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the agent's files: %w; set HOME, or give --identity-dir and --config", err)
	}
	return filepath.Join(home, fallback, folder, name), nil
}

// LogFile returns the path of the service's log on systems whose service manager keeps no log; it
// is empty on other systems.
func LogFile() (string, error) {
	switch runtime.GOOS {
	case "windows":
		return below("agent.log")
	case "darwin":
		if System() {
			return filepath.Join("/Library/Logs", folder+".log"), nil
		}
		home, err := os.UserHomeDir()
		return filepath.Join(home, "Library", "Logs", folder+".log"), err
	}
	return "", nil
}
