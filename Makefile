# All tasks are targets of this file; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

ROOT := $(CURDIR)
BIN := $(ROOT)/.local/bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/mooring-dev/mooring/internal/version.Version=$(VERSION)
TOOL := go tool -modfile=$(ROOT)/hack/tools/go.mod
PROTOTOOL := go tool -modfile=$(ROOT)/hack/tools/proto/go.mod
GO_BUILD := CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)'
LOCALCLUSTER := $(BIN)/localcluster
# Reduced counts; test-long sets them to full size.
export MOORING_TEST_SIZE ?= ci
export TEST_TIMEOUT ?= 30m
# A version-control stamp would make every rebuild differ, and fails in unusual checkouts.
export GOFLAGS ?= -buildvcs=false
export LOCALCLUSTER
export MODULES := . hack/localcluster hack/tools hack/tools/proto hack/tools/drill hack/tools/dns hack/tools/helm hack/tools/sbom test/health

##@ Try it
.PHONY: demo
demo: build cluster-binaries ## Pair this machine, approve it, run capabilities: the whole story, once
	@$(BIN)/demo

.PHONY: up
up: build cluster-binaries ## Start the same system and keep it running; print how to use it
	@$(BIN)/demo up

.PHONY: down
down: ## Stop the system of `make up` and delete its state
	@if [ -x $(BIN)/demo ]; then $(BIN)/demo down; else echo "nothing to stop: $(BIN)/demo was never built"; fi

##@ Build
.PHONY: build
build: $(LOCALCLUSTER) ## Build manager, mooring-agent, kubectl-mooring and the development tools into .local/bin
	@mkdir -p $(BIN)
	@echo "building manager, mooring-agent, kubectl-mooring"
	@$(GO_BUILD) -o $(BIN)/ ./cmd/... ./hack/demo

PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
CROSS ?= ./cmd/mooring-agent ./cmd/kubectl-mooring
.PHONY: cross
cross: ## Build CROSS for each of PLATFORMS into .local/cross; the agent may have 25 MiB
	@for p in $(PLATFORMS); do \
	  mkdir -p .local/cross/$$p; echo "building for $$p"; \
	  GOOS=$${p%/*} GOARCH=$${p#*/} $(GO_BUILD) -o .local/cross/$$p/ $(CROSS); \
	  large=$$(find .local/cross/$$p -name 'mooring-agent*' -size +25M); \
	  [ -z "$$large" ] || { echo "$$large is larger than 25 MiB" >&2; exit 1; }; done

.PHONY: $(LOCALCLUSTER)
$(LOCALCLUSTER):
	@mkdir -p $(BIN)
	@cd hack/localcluster && CGO_ENABLED=0 go build -o $(BIN)/localcluster ./cmd/localcluster

.PHONY: cluster-binaries
cluster-binaries: $(LOCALCLUSTER) ## Build etcd, kube-apiserver, cert-manager and kubectl (about 10 minutes once)
	@$(LOCALCLUSTER) build

.PHONY: test-binaries
test-binaries: build cluster-binaries drill-binaries sim ## Build the programs of the integration tests, with the test-only capability linked in
	@$(GO_BUILD) -o $(BIN)/testagent ./test/testagent
	@$(GO_BUILD) -o $(BIN)/machines ./test/chaos/machines
	@cd test/health && CGO_ENABLED=0 go build -trimpath -o $(BIN)/health .

.PHONY: sim
sim: ## Build mooring-sim, which runs many real agents in few processes
	@mkdir -p $(BIN)
	@$(GO_BUILD) -o $(BIN)/ ./test/sim/cmd/mooring-sim

.PHONY: worker-binaries
worker-binaries: $(LOCALCLUSTER) ## Build kubelet, kube-proxy, kube-scheduler, CoreDNS and Helm for make e2e
	@$(LOCALCLUSTER) build --worker
	@cd hack/tools/dns && CGO_ENABLED=0 go build -trimpath -o $(BIN)/worker/coredns .
	@cd hack/tools/helm && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o $(BIN)/helm helm.sh/helm/v4/cmd/helm

.PHONY: drill-binaries
drill-binaries: ## Build the programs of the drills: etcdctl, etcdutl, approver-policy
	@mkdir -p $(BIN)
	@cd hack/tools/drill && CGO_ENABLED=0 go build -trimpath -o $(BIN)/ go.etcd.io/etcd/etcdctl/v3 go.etcd.io/etcd/etcdutl/v3
	@cd hack/tools/drill && CGO_ENABLED=0 go build -trimpath -o $(BIN)/approver-policy github.com/cert-manager/approver-policy/cmd

##@ Images
.PHONY: images
images: ## Pack manager and mooring-agent into oci-archives in .local/images, with their bills of materials (buildah, or docker with buildx)
	@mkdir -p .local/images/context
	@GOOS=linux $(GO_BUILD) -o .local/images/context/ ./cmd/manager ./cmd/mooring-agent
	@hack/images.sh .local/images $(VERSION)
	@mkdir -p $(BIN) && cd hack/tools/sbom && CGO_ENABLED=0 go build -trimpath -o $(BIN)/ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
	@hack/sbom.sh $(BIN)/cyclonedx-gomod .local/images $(VERSION)

##@ Test
UNIT := ./api/... ./internal/... ./nodeagent/... ./controllers/... ./cmd/... ./config/... ./hack/chart/... ./hack/crds/... ./hack/dev/... ./hack/docs/... ./hack/wording/...
GOTESTSUM := $(TOOL) gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg

BASE ?= main
.PHONY: check
check: ## Unit tests and lint of the packages that differ from main, for all day (BASE=another branch)
	@hack/check.sh $(BASE)

.PHONY: test
test: deps ## Run every test in CI-sized counts
	@$(MAKE) --no-print-directory --keep-going test-unit test-localcluster test-integration

.PHONY: test-unit
test-unit: ## Unit tests, and the tests of the Helm chart and of the health rules; no cluster
	@$(MAKE) --no-print-directory --keep-going test-unit-go test-chart test-health

.PHONY: test-unit-go
test-unit-go: deps ## Unit tests with the race detector, beside a decoy installation
	@hack/decoys.sh $(GOTESTSUM) -- -race -timeout $(TEST_TIMEOUT) $(UNIT)

.PHONY: test-chart
test-chart: ## The Helm chart gives the objects of config/install
	@cd hack/tools/helm && $(GOTESTSUM) -- -timeout $(TEST_TIMEOUT) ./...

.PHONY: test-health
test-health: ## The health rules of Argo CD and Flux for the Kinds
	@cd test/health && $(GOTESTSUM) -- -timeout $(TEST_TIMEOUT) ./...

.PHONY: test-localcluster
test-localcluster: cluster-binaries ## The development cluster's own tests
	@cd hack/localcluster && $(GOTESTSUM) -- -timeout 15m ./internal/... ./cmd/localcluster

.PHONY: test-integration
test-integration: deps test-binaries ## Tests on a real apiserver, real cert-manager and real processes
	@hack/with-cluster.sh $(GOTESTSUM) -- -race -p 3 -exec $(ROOT)/hack/in-turn.sh -timeout $(TEST_TIMEOUT) ./test/...

.PHONY: test-systemd
test-systemd: ## The agent's service under a systemd that boots in a container (root, debootstrap, systemd-container)
	@mkdir -p $(BIN) && $(GO_BUILD) -o $(BIN)/ ./cmd/mooring-agent
	@hack/test-systemd.sh $(BIN)/mooring-agent

.PHONY: e2e
e2e: ## Install on a real kubelet and use it (root; installs containerd, runc and others); exit code of hack/e2e.sh: 77 is skipped
	@hack/e2e.sh $(E2E_ARGS)

.PHONY: test-long
test-long: export MOORING_TEST_SIZE = full
test-long: export TEST_TIMEOUT = 2h
test-long: test cross mutants mutants-pure fuzz ## The same tests at full size, every platform, every mutant, then the fuzzers

.PHONY: mutants
mutants: deps test-binaries ## Break each line that keeps a promise and check that its tests fail, with processes too (MUTANTS="--only PREFIX,...")
	@hack/with-cluster.sh go run ./test/mutants --process $(MUTANTS)

.PHONY: mutants-pure
mutants-pure: ## Break each operator of the packages without I/O and count the mutants that their unit tests find (MUTANTS="--only PACKAGE,...")
	@go run ./test/mutants --pure $(MUTANTS)

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (30s)
	@hack/fuzz.sh $${FUZZTIME:-30s}

.PHONY: bench
bench: build cluster-binaries sim ## Measure against a plain client of the API and write docs/benchmarks.md (BENCH_ARGS="--only growth,idle --note ...")
	@$(GO_BUILD) -o $(BIN)/bench ./test/bench
	@$(BIN)/bench --out docs/benchmarks.md $(BENCH_ARGS)

.PHONY: deps
deps: ## Install gcc and libc headers for the race detector if they are missing
	@hack/deps.sh

##@ Maintain
.PHONY: generate
generate: ## Regenerate deepcopy, CRDs, protobuf code, the copied templates of the chart and the reference pages
	@$(TOOL) controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/v1alpha1
	@$(TOOL) controller-gen crd paths=./api/v1alpha1 output:crd:dir=config/crd/bases
	@go run ./hack/crds config/crd/bases
	@go run ./hack/chart config charts/mooring/templates/generated
	@cd api/proto && $(PROTOTOOL) buf generate
	@$(TOOL) crd-ref-docs --log-level=WARN --source-path=api/v1alpha1 --config=hack/reference/api.yaml \
	  --renderer=markdown --output-path=docs/reference/api.md
	@mkdir -p $(BIN) && $(GO_BUILD) -o $(BIN)/ ./cmd/...
	@go run ./hack/reference $(BIN) docs/reference

.PHONY: lint
lint: ## golangci-lint (import rules included), buf lint, transitive import rules
	@$(TOOL) golangci-lint run ./...
	@cd api/proto && $(PROTOTOOL) buf lint
	@hack/imports.sh

.PHONY: tidy
tidy: ## go mod tidy in every module
	@for d in $(MODULES); do (cd $$d && go mod tidy); done

.PHONY: verify
verify: ## Fail when generated code, module files or the linters disagree with the tree
	@hack/verify.sh

.PHONY: clean
clean: down ## Stop the system of `make up` and remove .local
	@rm -rf .local

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*##"; printf "usage: make TARGET\n"} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-zA-Z_-]+:.*##/ {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
