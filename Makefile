# The two commands: make demo, make test. All targets share one virtual environment, made by whichever runs
# first; PYTHON chooses the interpreter that makes it.
PYTHON ?= python3
VENV := .venv
LOWEST := .venv-lowest
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lowest check bench evaluate clean

demo: $(VENV)/.core
	@$(BIN)/echoic demo $(if $(AUDIO),"$(AUDIO)") --output build/demo

# What takes longest comes first, so that no worker is left with it in the end.
test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests/unit/training tests/integration tests

# The core, and searching and identifying with it, on the lowest versions that pyproject.toml allows. Those may warn.
lowest: $(LOWEST)/.installed
	PYTHONWARNINGS=ignore $(LOWEST)/bin/python -m pytest -o filterwarnings= \
		tests/unit/audio/test_decode.py tests/unit/encoders \
		tests/unit/evaluation/test_report.py tests/unit/storage/test_embedded_store.py tests/integration/test_search.py tests/integration/test_identify.py \
		tests/integration/test_watch.py

check: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Prints the tables behind every claim about speed, the main figures also into README; QUICK=1 for a smaller run.
bench: $(VENV)/.test
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick,--readme)

# Retrieval figures on real audio, $ECHOIC_DATA or ../shared/data, also into README.
evaluate: $(VENV)/.test
	$(BIN)/python -m benchmarks.retrieval --readme

clean:
	rm -rf $(VENV) $(LOWEST) build dist

$(VENV)/.python:
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.core: pyproject.toml | $(VENV)/.python
	@echo "installing Echoic into $(VENV) …"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/.python
	@echo "installing Echoic and its test tools into $(VENV) …"
	@$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/.core

$(LOWEST)/.installed: pyproject.toml tests/lowest.py
	@echo "installing the lowest versions into $(LOWEST) …"
	@$(PYTHON) -m venv $(LOWEST)
	@$(PYTHON) tests/lowest.py >$(LOWEST)/lowest.txt
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --editable . --constraint $(LOWEST)/lowest.txt \
		pytest pytest-timeout hypothesis onnx psutil
	@touch $@
