package main

import (
	"context"
	"errors"
	"fmt"
)

// maxGrowth is the largest allowed ratio of a dispatch's cost with many Nodes to its cost with
// few.
const maxGrowth = 1.1

// measureGrowth measures the cost of a dispatch with few and with many Nodes. Each count has a system of
// its own; all run at the same time and are measured in turns.
func measureGrowth(ctx context.Context, s *suite) (r result, err error) {
	if err := s.closeSmall(); err != nil {
		return r, err
	}
	sites, err := s.startSites(ctx)
	defer func() {
		for _, site := range sites {
			err = errors.Join(err, site.close())
		}
	}()
	if err != nil {
		return r, err
	}
	for _, site := range sites {
		if err := site.waitUntilIdle(ctx, s.rest); err != nil {
			return r, err
		}
	}
	for round := range s.rounds + 1 {
		for _, site := range sites {
			site.warming = round == 0
			if err := site.round(ctx, s.growthCalls); err != nil {
				return r, fmt.Errorf("beside %d Nodes: %w", site.nodes, err)
			}
		}
	}
	few := sites[0]
	for _, site := range sites {
		p50, cpu := ratios(site.p50, few.p50), ratios(site.cpu, few.cpu)
		r.add(fmt.Sprint(site.nodes), formatSpread(site.raw, "%.1f"), formatSpread(site.p50, "%.1f"), formatSpread(site.cpu, "%.1f"), formatSpread(p50, "%.2f"), formatSpread(cpu, "%.2f"))
		if site != few {
			r.atMost(fmt.Sprintf("p50 of a dispatch, %d Nodes / %d", site.nodes, few.nodes), "%.2f", maxGrowth, p50...)
			r.atMost(fmt.Sprintf("processor time of a dispatch, %d Nodes / %d", site.nodes, few.nodes), "%.2f", maxGrowth, cpu...)
		}
	}
	return r, nil
}

// startSites starts the systems in order of their size. The largest is the crowd that the rows before
// and after use.
func (s *suite) startSites(ctx context.Context) (sites []*site, err error) {
	for i, nodes := range s.growth {
		started := &site{nodes: nodes, closeAfterRow: i < len(s.growth)-1}
		if started.closeAfterRow {
			started.crowdSystem, err = newCrowdSystem(ctx, 1, middleAddressBlock+i, s.faults)
			if err == nil {
				sites = append(sites, started)
				err = started.grow(ctx, nodes, s.ramp)
			}
		} else if started.crowdSystem, err = s.growCrowd(ctx, nodes); err == nil {
			sites = append(sites, started)
		}
		if err == nil {
			err = started.prepare(ctx)
		}
		if err != nil {
			return sites, fmt.Errorf("make %d Nodes: %w", nodes, err)
		}
	}
	return sites, nil
}
