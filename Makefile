# Berth: build, demo, test. `make help` lists the targets.

SHELL := /bin/bash
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 10s
BENCH ?= .
PKG ?= ./...

# The version comes from -ldflags; asking git again would make a clone owned by somebody else fail.
export GOFLAGS += -buildvcs=false

.DEFAULT_GOAL := help
.PHONY: help setup build demo test check format race bench torture fuzz clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what the tests need; prints what it finds and installs
	@scripts/setup

build: ## build bin/berth, static, with the version from git
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/berth ./cmd/berth

demo: ## set up, build, and show five deployments sign in, offline
	@scripts/setup go
	@$(MAKE) --no-print-directory build
	bin/berth demo

test: setup ## set up everything, then run all checks
	@$(MAKE) --no-print-directory check

check: ## what CI runs: format, vet, staticcheck, layout, all tests with the race detector
	@go run ./scripts/check

format: ## rewrite Go files in the standard format
	@git ls-files -z --cached --others --exclude-standard -- '*.go' | xargs -0 gofmt -w

race: ## test PKG (./...) with the race detector as check does, without the rest
	CGO_ENABLED=1 go test -race -gcflags=modernc.org/libc=-race=false -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libquickjs=-race=false $(PKG)

bench: ## run the benchmarks (BENCH=regexp chooses)
	set -o pipefail; go test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 60m ./... | go run ./scripts/benchtable

torture: ## run the tests named TestTorture... in their long form
	BERTH_TORTURE=1 go test -count=1 -v -run '^TestTorture' -timeout 120m ./...

fuzz: ## run every fuzz target for FUZZTIME (10s)
	@scripts/fuzz $(FUZZTIME)

clean: ## remove what the build made
	rm -rf bin artifacts
	go clean -testcache
