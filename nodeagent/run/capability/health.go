package capability

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"

	"github.com/mooring-dev/mooring/internal/jsontext"
)

// cpuSample is the time over which the load of the processors is measured. It is short, so that the
// whole run stays well under the 200 ms after which a gateway writes Dispatched.
const cpuSample = 100 * time.Millisecond

// SystemHealth measures the machine.
type SystemHealth struct{}

// Health is the output of SystemHealth. A part that cannot be measured on this machine is absent,
// and Missing names it.
type Health struct {
	UptimeSeconds uint64   `json:"uptimeSeconds,omitempty"`
	Load          *Load    `json:"load,omitempty"`
	CPU           *CPU     `json:"cpu,omitempty"`
	Memory        *Memory  `json:"memory,omitempty"`
	Disks         []Disk   `json:"disks,omitempty"`
	Missing       []string `json:"missing,omitempty"`
}

// Load is the mean number of runnable processes over 1, 5 and 15 minutes.
type Load struct {
	One     float64 `json:"1m"`
	Five    float64 `json:"5m"`
	Fifteen float64 `json:"15m"`
}

// CPU is the number of logical processors and their total load in the last sample.
type CPU struct {
	Count       int     `json:"count"`
	UsedPercent float64 `json:"usedPercent"`
}

// Memory is the main memory of the machine, in bytes.
type Memory struct {
	TotalBytes     uint64  `json:"totalBytes"`
	AvailableBytes uint64  `json:"availableBytes"`
	UsedPercent    float64 `json:"usedPercent"`
}

// Disk is one mounted file system of a device, in bytes.
type Disk struct {
	Mountpoint  string  `json:"mountpoint"`
	FSType      string  `json:"fsType"`
	TotalBytes  uint64  `json:"totalBytes"`
	FreeBytes   uint64  `json:"freeBytes"`
	UsedPercent float64 `json:"usedPercent"`
}

// Name returns system.health.
func (SystemHealth) Name() string { return "system.health" }

// Description returns a sentence for people.
func (SystemHealth) Description() string {
	return "Measures uptime, load, processors, memory and disks."
}

// Schema returns a schema without parameters.
func (SystemHealth) Schema() json.RawMessage { return emptyInputSchema }

// Mediation returns MediationNone: the capability changes nothing.
func (SystemHealth) Mediation() Mediation { return MediationNone }

// Run measures every part; it fails only when no part can be measured.
func (SystemHealth) Run(ctx context.Context, _ Request) (json.RawMessage, error) {
	var health Health
	parts := []struct {
		name    string
		measure func(context.Context, *Health) error
	}{
		{"uptime", measureUptime}, {"load", measureLoad}, {"cpu", measureCPU}, {"memory", measureMemory}, {"disks", measureDisks},
	}
	var lastErr error
	for _, part := range parts {
		if err := part.measure(ctx, &health); err != nil {
			lastErr = fmt.Errorf("measure %s: %w", part.name, err)
			health.Missing = append(health.Missing, part.name)
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if len(health.Missing) == len(parts) {
		return nil, lastErr
	}
	return jsontext.Marshal(health)
}

func measureUptime(ctx context.Context, h *Health) (err error) {
	h.UptimeSeconds, err = host.UptimeWithContext(ctx)
	return err
}

func measureLoad(ctx context.Context, h *Health) error {
	found, err := load.AvgWithContext(ctx)
	if err != nil {
		return err
	}
	h.Load = &Load{One: found.Load1, Five: found.Load5, Fifteen: found.Load15}
	return nil
}

func measureCPU(ctx context.Context, h *Health) error {
	count, err := cpu.CountsWithContext(ctx, true)
	if err != nil {
		return err
	}
	percent, err := cpu.PercentWithContext(ctx, cpuSample, false)
	if err != nil {
		return err
	}
	if len(percent) != 1 {
		return fmt.Errorf("%d samples, want 1", len(percent))
	}
	h.CPU = &CPU{Count: count, UsedPercent: percent[0]}
	return nil
}

func measureMemory(ctx context.Context, h *Health) error {
	found, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return err
	}
	h.Memory = &Memory{TotalBytes: found.Total, AvailableBytes: found.Available, UsedPercent: found.UsedPercent}
	return nil
}

// maxDisks bounds the output on machines with very many mounts.
const maxDisks = 64

func measureDisks(ctx context.Context, h *Health) error {
	partitions, err := disk.PartitionsWithContext(ctx, false)
	if err != nil {
		return err
	}
	mountpoints := []string{}
	types := map[string]string{}
	for _, p := range partitions {
		mountpoints = append(mountpoints, p.Mountpoint)
		types[p.Mountpoint] = p.Fstype
	}
	// In a container the root is often not a device of its own; it is reported as a disk all the
	// same.
	if _, ok := types["/"]; !ok {
		mountpoints = append([]string{"/"}, mountpoints...)
	}
	for _, mountpoint := range mountpoints[:min(len(mountpoints), maxDisks)] {
		usage, err := disk.UsageWithContext(ctx, mountpoint)
		if err != nil || usage.Total == 0 {
			continue // unmounted since, or the agent may not see it
		}
		h.Disks = append(h.Disks, Disk{
			Mountpoint: mountpoint, FSType: usage.Fstype,
			TotalBytes: usage.Total, FreeBytes: usage.Free, UsedPercent: usage.UsedPercent,
		})
	}
	if len(h.Disks) == 0 {
		return fmt.Errorf("none of %d mounts can be measured", len(mountpoints))
	}
	return nil
}
