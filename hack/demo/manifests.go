package main

import _ "embed"

var (
	//go:embed fleet.yaml
	fleetYAML string
	//go:embed dispatches.yaml
	dispatchesYAML string
	//go:embed refused.yaml
	refusedYAML string
)
