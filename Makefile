# make            builds ./interlock
# make check      what must pass before a commit: lint, model and test
# make lint       everything that reads the code: format, vet, golangci-lint, import directions, go.mod
# make cross      that it builds and vets for macOS and Windows
# make test       every test, also those with real servers and clients from npm
# make e2e        only those
# make e2e-jaeger calls, restarts and refusals as a real Jaeger shows them; builds it the first time (3 minutes)
# make model      10,000 random lives of servers, and 40 simulated days of a whole gateway
# make bench      what the gateway costs beside a plain reverse proxy and a bridge
# make bench-quick the same in under two minutes, with more noise
# make bench-growth draws how the cost grows into docs/
# make allocs     that a call allocates no more than .ci/allocs.txt says
# make soak       each fault with its figure, random faults (CHAOS=30m), the tests over and over, long fuzzing (SOAK=2m)
# make proto      the Go code of policy/plugin/proto, with protoc (Debian: protobuf-compiler)
# make tools      the pinned tools, into .bin

GOLANGCI := v2.15.0
GOFUMPT  := v0.12.0
GENGO    := v1.36.12
GENGRPC  := v1.6.2
SOAK     ?= 2m
CHAOS    ?= 30m
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FIXTURES := examples/e2e/node_modules/.complete
PLUGIN   := examples/plugin/node/node_modules/.package-lock.json

.PHONY: build check lint cross format test model e2e e2e-jaeger bench bench-quick bench-growth allocs soak soak-drills soak-chaos soak-tests soak-fuzz tools fetch proto clean
build:
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o interlock ./cmd/interlock

check: lint model test

lint: .bin/golangci-lint-$(GOLANGCI) .bin/gofumpt-$(GOFUMPT)
	@bad=$$(git ls-files -co --exclude-standard '*.go' ':!*.pb.go' | xargs -r .bin/gofumpt-$(GOFUMPT) -l); \
		[ -z "$$bad" ] || { echo "not formatted (make format):"; echo "$$bad"; exit 1; }
	go mod tidy -diff
	go vet ./...
	go vet -tags jaeger ./examples/e2e
	.bin/golangci-lint-$(GOLANGCI) run ./...
	go test -run 'Imports|TopLevel' ./cmd/interlock

format: .bin/gofumpt-$(GOFUMPT)
	git ls-files -co --exclude-standard '*.go' ':!*.pb.go' | xargs -r .bin/gofumpt-$(GOFUMPT) -w

# The other systems build; their tests need their machines.
cross:
	GOOS=darwin CGO_ENABLED=0 go build -o /dev/null ./cmd/interlock
	GOOS=windows CGO_ENABLED=0 go build -o /dev/null ./cmd/interlock
	GOOS=darwin CGO_ENABLED=0 go vet ./...
	GOOS=windows CGO_ENABLED=0 go vet ./...

# The race detector needs cgo. -p 2: the end-to-end tests start real servers
# and have deadlines of their own.
test: fetch
	CGO_ENABLED=1 go test -race -shuffle=on -p 2 -timeout 20m ./...

# Without the race detector, which crashes where so many goroutines come and go;
# some of the days are in `make test`, with it.
model:
	go test -count=1 -shuffle=on -run '^TestLifecycleModel$$|^TestSimulatedDay$$' ./upstream ./gateway

e2e: fetch
	CGO_ENABLED=1 go test -race -count=1 -v -timeout 20m ./examples/e2e

# Its tests have a build tag of their own: without the binary they could only be
# skipped. JAEGER_CACHE is where the binary is kept.
e2e-jaeger: fetch
	@jaeger=$$(.ci/jaeger) && CGO_ENABLED=1 INTERLOCK_JAEGER=$$jaeger \
		go test -tags jaeger -race -count=1 -v -run '^TestJaeger' -timeout 20m ./examples/e2e

bench:
	go run ./examples/bench $(BENCH)

bench-quick:
	go run ./examples/bench -quick $(BENCH)

bench-growth:
	go run ./examples/bench -growth docs $(BENCH)

# WRITE=1 writes the table anew.
allocs:
	WRITE=$(WRITE) .ci/allocs

# Each part also runs by itself. What they end with is a table, and not 0 if a
# figure missed its bar or a promise was broken (docs/faults.md).
soak: soak-drills soak-chaos soak-tests soak-fuzz

# The faults one by one: figures with the binary as it ships, then again with the
# race detector, which may take five times as long.
soak-drills:
	go run ./examples/chaos -drill all
	CGO_ENABLED=1 INTERLOCK_SOAK=1 go test -race -count=1 -v -run Drills -timeout 150m ./examples/chaos

soak-chaos:
	go run ./examples/chaos -strict -for $(CHAOS) -think 200ms
	CGO_ENABLED=1 INTERLOCK_SOAK=1 INTERLOCK_CHAOS=$(CHAOS) go test -race -count=1 -v -run Chaos -timeout 150m ./examples/chaos

# 1,000 simulated days take about seven minutes, 100,000 sequences of the lifecycle
# two, both without the race detector (see model).
soak-tests: fetch
	INTERLOCK_SOAK=1 go test -count=1 -v -run SimulatedDay -timeout 90m ./gateway
	INTERLOCK_SOAK=1 go test -count=1 -v -run LifecycleModel -timeout 60m ./upstream
	CGO_ENABLED=1 INTERLOCK_SOAK=1 go test -race -count=1 -v -run Killed -timeout 60m ./gateway
	CGO_ENABLED=1 INTERLOCK_SOAK=1 go test -race -count=1 -v -run Expires -timeout 60m ./examples/e2e
	CGO_ENABLED=1 INTERLOCK_SOAK=1 go test -race -count=20 -v -run ShutdownBudget -timeout 60m ./cmd/interlock
	INTERLOCK_SOAK=1 go test -count=1 -v -run Faults -timeout 30m ./policy/plugin
	INTERLOCK_SOAK=1 go test -count=1 -v -run SickCollector -timeout 20m ./gateway
	CGO_ENABLED=1 go test -race -shuffle=on -count=20 -timeout 120m ./upstream/... ./gateway/...
	CGO_ENABLED=1 INTERLOCK_CHAOS=30s go test -race -shuffle=on -count=5 -timeout 60m ./cmd/... ./examples/...

# Go fuzzes one target at a time, so each gets the whole of $(SOAK).
soak-fuzz:
	@set -e; for f in $$(grep -rlE '^func Fuzz' --include='*_test.go' . | grep -v node_modules); do \
		for t in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' $$f); do \
			echo "== $$t ($$(dirname $$f)), $(SOAK)"; \
			go test -run '^$$' -fuzz "^$$t\$$" -fuzztime $(SOAK) ./$$(dirname $$f); \
		done; done

fetch: $(FIXTURES) $(PLUGIN)
	go mod download

# Without scripts: a package may not run anything here. Claude Code's own
# install step only puts its binary in place, and is run by name.
$(FIXTURES): examples/e2e/package.json examples/e2e/package-lock.json
	cd examples/e2e && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	cd examples/e2e && node node_modules/@anthropic-ai/claude-code/install.cjs
	@touch $@

$(PLUGIN): examples/plugin/node/package.json examples/plugin/node/package-lock.json
	cd examples/plugin/node && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

tools: .bin/golangci-lint-$(GOLANGCI) .bin/gofumpt-$(GOFUMPT)

# A tool of the right version that is installed already is used as it is.
.bin/golangci-lint-$(GOLANGCI):
	@mkdir -p .bin
	@if golangci-lint version 2>/dev/null | grep -q ' $(GOLANGCI:v%=%) '; then ln -sf "$$(command -v golangci-lint)" $@; else \
		GOBIN=$(CURDIR)/.bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI) && mv .bin/golangci-lint $@; fi

.bin/gofumpt-$(GOFUMPT):
	@mkdir -p .bin
	@if gofumpt -version 2>/dev/null | grep -q '^$(GOFUMPT) '; then ln -sf "$$(command -v gofumpt)" $@; else \
		GOBIN=$(CURDIR)/.bin go install mvdan.cc/gofumpt@$(GOFUMPT) && mv .bin/gofumpt $@; fi

# The generated code is committed; a test says when it is not that of the .proto.
proto: .bin/protoc-gen-go-$(GENGO) .bin/protoc-gen-go-grpc-$(GENGRPC)
	protoc -I policy/plugin/proto --go_out=policy/plugin/proto --go_opt=paths=source_relative \
		--go-grpc_out=policy/plugin/proto --go-grpc_opt=paths=source_relative \
		--plugin=protoc-gen-go=.bin/protoc-gen-go-$(GENGO) --plugin=protoc-gen-go-grpc=.bin/protoc-gen-go-grpc-$(GENGRPC) \
		v1/policy.proto

.bin/protoc-gen-go-$(GENGO):
	@mkdir -p .bin
	GOBIN=$(CURDIR)/.bin go install google.golang.org/protobuf/cmd/protoc-gen-go@$(GENGO) && mv .bin/protoc-gen-go $@

.bin/protoc-gen-go-grpc-$(GENGRPC):
	@mkdir -p .bin
	GOBIN=$(CURDIR)/.bin go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@$(GENGRPC) && mv .bin/protoc-gen-go-grpc $@

clean:
	rm -rf interlock dist .bin examples/e2e/node_modules examples/plugin/node/node_modules
