// Package hostinfo describes the machine the agent runs on.
package hostinfo

import (
	"bufio"
	"context"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v4/host"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/version"
)

// maxTextBytes bounds every text of SystemInfo on the wire, in bytes.
const maxTextBytes = 256

// SystemInfo returns a description of the machine; a fact that cannot be determined is empty.
func SystemInfo(ctx context.Context) *gatewayv1.SystemInfo {
	info := &gatewayv1.SystemInfo{
		Os:           runtime.GOOS,
		Arch:         runtime.GOARCH,
		OsImage:      cleanText(readPrettyName("/etc/os-release")),
		AgentVersion: cleanText(version.Version),
	}
	if name, err := os.Hostname(); err == nil {
		info.Hostname = cleanText(name)
	}
	found, err := host.InfoWithContext(ctx)
	if err != nil {
		return info
	}
	info.Platform = cleanText(found.Platform)
	info.KernelVersion = cleanText(found.KernelVersion)
	if info.OsImage == "" {
		info.OsImage = cleanText(strings.TrimSpace(found.Platform + " " + found.PlatformVersion))
	}
	return info
}

// cleanText returns a text as the gateway stores it, cut to the bound of the wire.
func cleanText(s string) string { return foreign.TruncateLine(s, maxTextBytes) }

// BootID returns an id that changes with every boot: the kernel's boot id, or else the boot time.
// It has at most 64 bytes.
func BootID(ctx context.Context) string {
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		return strings.TrimSpace(string(id))
	}
	seconds, err := host.BootTimeWithContext(ctx)
	if err != nil {
		return ""
	}
	return strconv.FormatUint(seconds, 10)
}

// readPrettyName returns PRETTY_NAME of an os-release file (freedesktop.org os-release(5)).
func readPrettyName(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "PRETTY_NAME="); ok {
			return strings.Trim(value, `"'`)
		}
	}
	return ""
}

// isAddress reports whether a host name is an IP address or begins with an IPv4 address. Some
// providers name hosts that way: the first label of 10.0.0.7.example.com names no machine.
func isAddress(hostname string) bool {
	if _, err := netip.ParseAddr(strings.Trim(hostname, "[]")); err == nil {
		return true
	}
	labels := strings.Split(hostname, ".")
	return len(labels) >= 4 && !slices.ContainsFunc(labels[:4], func(label string) bool {
		_, err := strconv.ParseUint(label, 10, 8)
		return err != nil
	})
}

// NodeNameFromHostname returns the name of a Node, a DNS label, made from a host name: its first
// label in lower case, with dashes for all other characters. The name is empty when no character is
// allowed, and for a host name that names no machine: an address, localhost.
func NodeNameFromHostname(hostname string) string {
	if isAddress(hostname) {
		return ""
	}
	first, _, _ := strings.Cut(hostname, ".")
	switch strings.ToLower(first) {
	case "localhost", "localhost4", "localhost6":
		return ""
	}
	label := strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
			return r
		}
		return '-'
	}, strings.ToLower(first))
	if len(label) > 63 {
		label = label[:63]
	}
	return strings.Trim(label, "-")
}
