package main

// sections are the tables of the page, in their order.
var sections = []section{
	{"Dispatch latency, one at a time",
		"From sending the creation to the news of the success at a watch. *Raw* is a plain client that creates, a plain worker that watches\n" +
			"and saves the end with one status PUT: no machine, no TLS to it, no journal. *Poll* is that worker looking once a second.",
		[]string{"way", "p50 ms", "p99 ms", "p50 / raw", "p99 / raw"}, []string{"latency"}},
	{"Dispatch throughput",
		"One machine, one gateway, as many callers as are in flight.",
		[]string{"in flight", "raw /s", "Mooring /s", "Mooring / raw"}, []string{"throughput"}},
	{"API writes of a dispatch",
		"Short dispatches of one connected machine, and what `apiserver_request_total` counted for dispatches meanwhile. The gateway waits for\n" +
			"results for ten minutes before it would write `Dispatched`.",
		[]string{"dispatches", "creations", "status PUTs", "others"}, []string{"writes"}},
	{"Stream hop",
		"From an offer to its result over a session, against a message and its answer over a stream of the same kind: the listener of the gateway\n" +
			"and its TLS on one side, the agent with its journal on a memory file system, or a plain grpc-go client, on the other. The agent journals\n" +
			"the offer and the result before it says so: the difference is that.",
		[]string{"what", "p50 ms", "/ ping"}, []string{"hop"}},
	{"Beside a hostile machine",
		"Dispatches to one machine, one at a time, alone and while another machine of the same gateway costs as much as it can: new connections,\n" +
			"64 new input schemas in each registration, new sessions, floods of results and descriptions. Its process has a low priority: its own\n" +
			"work is not the gateway's. Each round has a machine of its own whose budgets are whole, which is held in every second block of ten\n" +
			"dispatches. Processor is that of the gateway beside it.",
		[]string{"dispatches", "p50 ms", "p99 ms", "p50 / alone", "gateway processor %"}, []string{"neighbour"}},
	{"Revocation: API event to closed stream",
		"Connected agents lose their trust one after the other. From sending the patch to the end of the stream at the machine.\n" +
			"Loaded: 16 dispatches under way all the time, on other machines.",
		[]string{"way", "load", "cut", "p50 ms", "p99 ms", "slowest ms"}, []string{"revocation"}},
	{"Pairing",
		"Machines that pair all at once: code, exchange, decision, certificate, first session. *Floor* is a plain client on a cluster of its own,\n" +
			"without Mooring's processes, that writes what the API server stored for a pairing: the same number of creations, updates and deletions of\n" +
			"the same kinds with the same content, one after the other for each machine, as many machines at a time. cert-manager signs in both.\n" +
			"Processor time is that of a pairing: all processes share two processors, and where their sum is what they have, it is what sets the pace.",
		[]string{"way", "pairings /s", "/ floor", "API server and etcd ms", "all others ms"}, []string{"pairing"}},
	{"One idle agent",
		"`mooring-agent` as a process of its own, connected, with nothing to do.",
		[]string{"memory MiB", "processor %", "program MiB"}, []string{"agent"}},
	{"Idle agents",
		"Memory is the resident memory of the one gateway, *each* what it had not before the agents came. Writes are what the API server counted\n" +
			"in a minute after a rest. *Ramp* is how long the agents took to come that are more than in the row above.\n" +
			"[size-gateways.md](how-to/size-gateways.md) says what the memory consists of.",
		[]string{"agents", "ramp s", "gateway MiB", "each KiB", "gateway processor %", "Node.status /min", "gateway Leases /min", "leader /min", "policy proof /min", "all writes /min"},
		[]string{"idle-small", "idle-middle", "idle-large"}},
	{"Growth",
		"A dispatch, one at a time, to machines in turn, beside few and many Nodes: a system of its own for each number, all of them up at the same time,\n" +
			"measured in turns. Processor time is that of kube-apiserver, etcd, gateway and controller, without what they use at rest.",
		[]string{"Nodes", "raw p50 ms", "Mooring p50 ms", "processor ms", "p50 / few", "processor / few"}, []string{"growth"}},
	{"Gateway killed",
		"SIGKILL to the only gateway with every agent on it while dispatches are created; the next one starts at once on the same address. Seconds are\n" +
			"from the signal. Every dispatch counts its runs at the machine. *Lost* did not succeed, or says that it did and never ran.",
		[]string{"agents", "ready s", "half back s", "99 % back s", "all back s", "dispatches", "lost", "run twice", "Node.status writes", "per agent"}, []string{"kill"}},
}
