package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// appFolder is the name of the agent's folder in the directories of a system.
const appFolder = "mooring-agent"

const identityDirHelp = "/var/lib/mooring-agent as root, else mooring-agent in $XDG_STATE_HOME or ~/.local/state"

// PathHelp describes the path of the configuration file, for help texts.
const PathHelp = "/etc/mooring-agent/config.yaml as root, else mooring-agent/config.yaml in $XDG_CONFIG_HOME or ~/.config"

// IsSystemWide reports whether this process acts for the whole machine and not for one user. Its
// service, configuration and identity are then those of the machine.
func IsSystemWide() bool { return runtime.GOOS == "windows" || os.Geteuid() == 0 }

// DefaultPath returns the default path of the configuration file.
func DefaultPath() (string, error) {
	switch runtime.GOOS {
	case "windows", "darwin":
		return appPath("config.yaml")
	}
	if IsSystemWide() {
		return filepath.Join("/etc", appFolder, "config.yaml"), nil
	}
	return homePath("XDG_CONFIG_HOME", ".config", "config.yaml")
}

// DefaultIdentityDir returns the default path of the identity directory.
func DefaultIdentityDir() (string, error) {
	switch runtime.GOOS {
	case "windows", "darwin":
		return appPath("identity")
	}
	if IsSystemWide() {
		return filepath.Join("/var/lib", appFolder), nil
	}
	return homePath("XDG_STATE_HOME", filepath.Join(".local", "state"), "")
}

// appPath returns the path of name in the application's one folder on Windows and macOS.
func appPath(name string) (string, error) {
	if runtime.GOOS == "windows" {
		base := os.Getenv("ProgramData")
		if base == "" {
			base = `C:\ProgramData`
		}
		return filepath.Join(base, appFolder, name), nil
	}
	if IsSystemWide() {
		return filepath.Join("/Library/Application Support", appFolder, name), nil
	}
	return homePath("", filepath.Join("Library", "Application Support"), name)
}

// homePath returns a path by the XDG base directories: an absolute path in the variable, or else a
// folder of the home directory.
func homePath(variable, fallback, name string) (string, error) {
	if base := os.Getenv(variable); variable != "" && filepath.IsAbs(base) {
		return filepath.Join(base, appFolder, name), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the agent's files: %w; set HOME, or give --identity-dir and --config", err)
	}
	return filepath.Join(home, fallback, appFolder, name), nil
}

// DefaultLogFile returns the path of the service's log on systems whose service manager keeps no
// log; it is empty on other systems.
func DefaultLogFile() (string, error) {
	switch runtime.GOOS {
	case "windows":
		return appPath("agent.log")
	case "darwin":
		if IsSystemWide() {
			return filepath.Join("/Library/Logs", appFolder+".log"), nil
		}
		home, err := os.UserHomeDir()
		return filepath.Join(home, "Library", "Logs", appFolder+".log"), err
	}
	return "", nil
}
