# What a person does with this repository. The work is done by swift, cc and python; .ci/setup installs what they need.
PYTHON = .venv/bin/python
LIBRARY = $(CURDIR)/.build/release/libkvsieve.so
PREFIX ?= /usr/local
export KVSIEVE_LIBRARY = $(LIBRARY)

.PHONY: build demo test bench header counts format install clean setup

build: setup
	@swift build -c release --product kvsieve
	@echo "$(LIBRARY)"

demo: build
	@PYTHONPATH=bindings/python/src $(PYTHON) bindings/python/examples/recall/demo.py

test: setup
	@$(PYTHON) Tests/run.py

bench: setup
	@swift build -c release --product kvsieve-bench
	@.build/release/kvsieve-bench $(BENCH)

header: setup
	@swift build --target KVSieveABI
	@swift run --quiet kvsieve-header .build/debug/KVSieveABI.build/include/KVSieveABI-Swift.h \
		Sources/CKVSieve/include/kvsieve_types.h .

counts: build
	@$(PYTHON) Tests/Instructions/check.py --record

format:
	@swift format format --in-place --recursive Sources Tests Package.swift

install: build
	@$(MAKE) -C bindings/c install PREFIX=$(PREFIX) LIB=$(dir $(LIBRARY))

clean:
	@rm -rf .build .build-asan .venv bindings/c/build

setup:
	@sh .ci/setup numpy pytest ml_dtypes
