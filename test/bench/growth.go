package main

import (
	"context"
	"errors"
	"fmt"
)

// mostGrowth is the largest allowed ratio of a dispatch's cost with many Nodes to its cost with
// few.
const mostGrowth = 1.1

// growth measures the cost of a dispatch with few and with many Nodes. Each count has a system of
// its own; all run at the same time and are measured in turns.
func growth(ctx context.Context, s *suite) (r result, err error) {
	if err := s.closeSmall(); err != nil {
		return r, err
	}
	sites, err := s.sites(ctx)
	defer func() {
		for _, site := range sites {
			err = errors.Join(err, site.close())
		}
	}()
	if err != nil {
		return r, err
	}
	for _, site := range sites {
		if err := site.settle(ctx, s.rest); err != nil {
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
		r.add(fmt.Sprint(site.nodes), spread(site.raw, "%.1f"), spread(site.p50, "%.1f"), spread(site.cpu, "%.1f"), spread(p50, "%.2f"), spread(cpu, "%.2f"))
		if site != few {
			r.atMost(fmt.Sprintf("p50 of a dispatch, %d Nodes / %d", site.nodes, few.nodes), "%.2f", mostGrowth, p50...)
			r.atMost(fmt.Sprintf("processor time of a dispatch, %d Nodes / %d", site.nodes, few.nodes), "%.2f", mostGrowth, cpu...)
		}
	}
	return r, nil
}

// sites starts the systems in order of their size. The largest is the crowd that the rows before
// and after use.
func (s *suite) sites(ctx context.Context) (sites []*site, err error) {
	for i, nodes := range s.growth {
		made := &site{nodes: nodes, own: i < len(s.growth)-1}
		if made.own {
			made.crowded, err = newCrowded(ctx, 1, middlePlace+i, s.faults)
			if err == nil {
				sites = append(sites, made)
				err = made.grow(ctx, nodes, s.ramp)
			}
		} else if made.crowded, err = s.crowd(ctx, nodes); err == nil {
			sites = append(sites, made)
		}
		if err == nil {
			err = made.prepare(ctx)
		}
		if err != nil {
			return sites, fmt.Errorf("make %d Nodes: %w", nodes, err)
		}
	}
	return sites, nil
}
