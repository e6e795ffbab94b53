# Every target sets up .venv by itself. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export CAMCOMPAT_HOME ?= $(CURDIR)/models

.PHONY: help setup demo download convert evaluate verify test lint bench robustness fuzz kill pictures clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1	\2/' | expand -t 20

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

setup: $(VENV)/.installed ## make .venv with everything installed

demo: setup ## offline: convert the embedded net, map a picture, leave the results in out/
	mkdir -p out
	$(BIN)/camcompat convert shapes-cam --out out
	$(BIN)/camcompat cam out/shapes-cam.onnx weights/embedded/shapes-cam/pictures/{05-star,06-arrow,12-heart}.jpg --top 2 --out out
	@echo "look at out/*-cam.png; the converted models are out/shapes-cam.onnx, .py and .safetensors"

download: setup ## fetch the five published CAM models into models/ (unreachable ones are listed)
	$(BIN)/camcompat download --cam-models --keep-going

convert: setup ## convert what is downloaded, and the embedded net, to ONNX and PyTorch
	$(BIN)/camcompat convert --cam-models --keep-going

evaluate: setup ## accuracy, localisation and pointing of the embedded net, both pipelines, both box rules
	$(BIN)/camcompat evaluate

# Caffe's stored outputs, where they lie beside the checkout.
verify bench: export CAMCOMPAT_SHARED ?= $(wildcard $(abspath ../shared))

verify: setup ## verify everything that is present against every oracle at hand; reports in reports/
	$(BIN)/camcompat verify --all --out reports

test: setup ## run the tests (fast ones first)
	$(BIN)/python -m pytest

lint: setup ## format check, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup ## speed and memory, as ratios to peers in the same run; writes docs/performance.md
	$(BIN)/camcompat bench --markdown docs/performance.md

robustness: setup ## attack every reader with over 10,000 damaged files; writes docs/robustness.md
	$(BIN)/python -m fuzz robustness

fuzz: setup ## coverage-guided fuzzing, FUZZ_SECONDS (60) for each reader
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	$(BIN)/python -m fuzz coverage

kill: setup ## kill conversions and downloads at random, 50 times each
	$(BIN)/python -m tests.robustness.kill

pictures: setup ## redraw docs/images
	$(BIN)/python -m docs.pictures

clean: ## remove everything that the targets made, but the downloaded models
	rm -rf $(VENV) out reports build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
