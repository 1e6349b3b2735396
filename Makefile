# The two commands: make demo, make test. All targets share one virtual environment, made by whichever runs
# first; PYTHON chooses the interpreter that makes it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test check bench evaluate clean

demo: $(VENV)/.core
	@$(BIN)/echoic demo $(if $(AUDIO),"$(AUDIO)") --output build/demo

test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile

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
	rm -rf $(VENV) build dist

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
