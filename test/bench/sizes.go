package main

import "time"

// sizes are how much is measured.
type sizes struct {
	// rounds is how often each comparison is repeated, in turns.
	rounds int
	// latencyCalls and pollCalls are the dispatches of an arm in a round of latency,
	// throughputCalls those of throughput.
	latencyCalls, pollCalls, throughputCalls int
	// writeCalls are the dispatches whose API writes are counted.
	writeCalls int
	// revoked is how many agents are connected while some are revoked.
	revoked int
	// idle are the counts of agents of the idle rows; growth those of Nodes of the growth row, of
	// which the last is one of idle or less. The gateway is killed with the last of idle.
	idle, growth []int
	// rest is how long a fleet rests before it counts as idle, window how long it is watched.
	rest, window time.Duration
	// growthCalls are the dispatches of an arm in a round of growth.
	growthCalls int
	// killed are the dispatches around the death of the gateway, perSecond how fast they come.
	killed, killedPerSecond int
	// pairings are those of an arm in a round.
	pairings int
	// hops are the offers, and the pings, in a round.
	hops int
	// agentWindow is how long one idle agent is watched.
	agentWindow time.Duration
	// ramp is how many agents of a crowd begin per second; a gateway records fifty sessions in one.
	ramp float64
}

// full is what the report is made of.
func full() sizes {
	return sizes{
		rounds: 5, latencyCalls: 200, pollCalls: 4, throughputCalls: 300, writeCalls: 100, revoked: 500,
		idle: []int{500, 5000, 10000}, growth: []int{100, 1000, 5000}, rest: time.Minute, window: time.Minute,
		growthCalls: 150, killed: 1000, killedPerSecond: 100, pairings: 24, hops: 1000, agentWindow: time.Minute, ramp: 60,
	}
}

// quick is the same code in seconds, for tests: its figures say nothing about performance.
func quick() sizes {
	return sizes{
		rounds: 2, latencyCalls: 6, pollCalls: 2, throughputCalls: 32, writeCalls: 20, revoked: 10,
		idle: []int{4, 8, 24}, growth: []int{2, 4, 8}, rest: time.Second, window: 3 * time.Second,
		growthCalls: 5, killed: 40, killedPerSecond: 40, pairings: 2, hops: 20, agentWindow: 3 * time.Second, ramp: 50,
	}
}

// atMostAgents leaves out what needs more agents than a machine has room for.
func (s sizes) atMostAgents(most int) sizes {
	s.revoked = min(s.revoked, most)
	for _, counts := range []*[]int{&s.idle, &s.growth} {
		var kept []int
		for _, count := range *counts {
			if count = min(count, most); len(kept) == 0 || count > kept[len(kept)-1] {
				kept = append(kept, count)
			}
		}
		*counts = kept
	}
	return s
}
