# What there is to do here. `make` alone lists it.

SWIFT ?= swift
DATA ?= ./data
# Of Debian and Ubuntu: the C libraries that are linked and what the tour uses, and the programs that tests run.
PACKAGES := libargon2-dev libcurl4-openssl-dev libjemalloc-dev libmodsecurity-dev libpq-dev libqrencode-dev librabbitmq-dev zlib1g-dev libsqlite3-dev modsecurity-crs pkg-config curl jq
TEST_PACKAGES := postgresql pgbouncer rabbitmq-server openssl zbar-tools python3-venv file slowhttptest
# And what benchmarks are held against.
BENCH_PACKAGES := nginx-light libnginx-mod-http-modsecurity
# The system tests that run in both shapes.
SCENARIOS := Stock|Payment|Door|Coupon|RepeatedRequest|WrongSide|Message|Mail
# Sixteen at a time: where all wait for two cores at once, none is in time. `swift test` knows no such limit, what it runs does.
TESTS := .build/debug/ticketflowPackageTests.xctest --testing-library swift-testing --experimental-maximum-parallelization-width 16
# Where only some are wanted there may be none of a kind, which ends with 69.
OR_NONE = $(if $(ONLY),|| [ $$? = 69 ])
# One kind after the other: some are about time.
define RUN_TESTS
	$(TESTS) --filter '(PlatformTests|ContractsTests|EdgeTests).*$(ONLY)' --skip Firewall $(OR_NONE)
	$(TESTS) --filter 'EdgeTests.*Firewall.*$(ONLY)' $(OR_NONE)
	$(TESTS) --filter 'ServiceTests.*$(ONLY)' $(OR_NONE)
	TICKETFLOW_TEST_ENGINE=postgres $(TESTS) --filter 'ServiceTests.*$(ONLY)' $(OR_NONE)
	$(TESTS) --filter 'SystemTests.*$(ONLY)' $(OR_NONE)
	TICKETFLOW_TEST_SHAPE=distributed $(TESTS) --filter 'SystemTests.*($(SCENARIOS)).*$(ONLY)' $(OR_NONE)
endef
FOLDERS := Sources Tests $(wildcard Benchmarks) Package.swift

.PHONY: help deps testdeps benchdeps build run test lint check bench soak clean

help: ## lists what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## installs the Debian packages that are missing; says nothing if none is
	@missing=; for package in $(PACKAGES) $(EXTRA); do \
		dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
		command -v apt-get >/dev/null || { echo "Please install what these Debian packages hold:$$missing" >&2; exit 1; }; \
		if [ "$$(id -u)" = 0 ]; then sudo=; else sudo=sudo; fi; \
		echo "installing$$missing"; \
		$$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $$missing; \
	fi

benchdeps: testdeps ## the same with what benchmarks are held against
	@$(MAKE) --no-print-directory deps EXTRA="$(BENCH_PACKAGES)"

testdeps: ## the same with the servers and programs that tests run
	@$(MAKE) --no-print-directory deps EXTRA="$(TEST_PACKAGES)"

build: deps ## builds for release and tells where the program is
	@$(SWIFT) build -c release --product ticketflow --static-swift-stdlib
	@echo .build/release/ticketflow

run: build ## builds for release and starts everything, with something to look at
	.build/release/ticketflow serve --demo --data $(DATA)

test: testdeps .venv/installed ## builds everything for debugging and runs all tests; ONLY=name for some
	$(SWIFT) build --build-tests
	$(RUN_TESTS)

.venv/installed: Tests/requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement Tests/requirements.txt
	@touch $@

lint: ## looks at the format of the sources
	$(SWIFT) format lint --strict --parallel --recursive $(FOLDERS)

check: lint testdeps .venv/installed ## all that a pull request must pass
	$(SWIFT) build --build-tests --explicit-target-dependency-import-check error
	$(RUN_TESTS)

bench: build benchdeps ## measures against yardsticks in the same run; ONLY=name for one
	$(SWIFT) run -c release --package-path Benchmarks ticketflow-bench --binary "$(CURDIR)/.build/release/ticketflow" \
		$(if $(ONLY),--only $(ONLY))

soak: build testdeps .venv/installed ## the system tests on the release build with SOAK crashes (default 500) instead of 20, and a hundred times the made-up requests
	$(SWIFT) build --build-tests
	TICKETFLOW="$(CURDIR)/.build/release/ticketflow" TICKETFLOW_SOAK=$(or $(SOAK),500) $(TESTS) --filter 'SystemTests|Gateway|Firewall'

clean: ## removes what was built
	rm -rf .build Benchmarks/.build .venv
