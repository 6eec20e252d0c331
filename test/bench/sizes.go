package main

import "time"

// sizes holds the counts and times of a run.
type sizes struct {
	// rounds is the number of times that each comparison is repeated, in turns.
	rounds int
	// latencyCalls and pollCalls are the dispatches of an arm in a round of latency,
	// throughputCalls those in a round of throughput.
	latencyCalls, pollCalls, throughputCalls int
	// writeCalls are the dispatches whose API writes are counted.
	writeCalls int
	// revoked is the number of agents that are connected while some of them are revoked.
	revoked int
	// idle holds the counts of agents of the idle rows. growth holds the counts of Nodes of the
	// growth row; its last count is not above the last of idle. The gateway is killed with the last
	// count of idle.
	idle, growth []int
	// rest is the time after which a fleet counts as idle, window the time for which it is
	// measured.
	rest, window time.Duration
	// growthCalls are the dispatches of an arm in a round of growth.
	growthCalls int
	// killed is the number of dispatches around the kill of the gateway, killedPerSecond their
	// rate.
	killed, killedPerSecond int
	// pairings is the number of pairings of an arm in a round.
	pairings int
	// hops is the number of offers, and of pings, in a round.
	hops int
	// agentWindow is the time for which one idle agent is measured.
	agentWindow time.Duration
	// ramp is the number of agents of a crowd that start per second; a gateway records fifty
	// sessions in a second.
	ramp float64
}

// full returns the sizes of the published report.
func full() sizes {
	return sizes{
		rounds: 5, latencyCalls: 200, pollCalls: 4, throughputCalls: 300, writeCalls: 100, revoked: 500,
		idle: []int{500, 5000, 10000}, growth: []int{100, 1000, 5000}, rest: time.Minute, window: time.Minute,
		growthCalls: 150, killed: 1000, killedPerSecond: 100, pairings: 24, hops: 1000, agentWindow: time.Minute, ramp: 60,
	}
}

// quick returns sizes for tests, which take seconds; the figures have no meaning for performance.
func quick() sizes {
	return sizes{
		rounds: 2, latencyCalls: 6, pollCalls: 2, throughputCalls: 32, writeCalls: 20, revoked: 10,
		idle: []int{4, 8, 24}, growth: []int{2, 4, 8}, rest: time.Second, window: 3 * time.Second,
		growthCalls: 5, killed: 40, killedPerSecond: 40, pairings: 2, hops: 20, agentWindow: 3 * time.Second, ramp: 50,
	}
}

// atMostAgents limits the sizes to the number of agents for which a machine has room.
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
