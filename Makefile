# Everything from a bare Python: each target sets up what it needs, and nothing else has to be installed.
#   make test PYTHON=python3.12       another interpreter
#   make test ARGS="-k ledger -x"     arguments for pytest, the demo or the benchmarks
#   make test WORKERS=0               one test after the other, which a debugger needs
#   make lock LOCK_FLAGS=--upgrade    the newest versions, instead of the fewest changes

PYTHON ?= python3
ARGS ?=
WORKERS ?= auto
LOCK_FLAGS ?=
MINUTES ?= 1

# Relative paths throughout, so that the checkout may live under a folder with spaces.
BIN := .venv/bin
BENCH_BIN := .venv-bench/bin
RELEASE_BIN := .venv-release/bin
XDIST = --numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
SAMPLE := tests/behaviour/test_ingest.py tests/behaviour/cli tests/unit/test_generate_files.py
PIP_FLAGS := --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo dashboard test sample proofs fuzz lint docs blog bench grade trino template release lock clean

help: ## show this list
	@echo "make <target>    (Python: $(PYTHON), override with PYTHON=...)"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' Makefile

demo: .venv/.runtime ## generate events, ingest them and ask the five questions
	@$(BIN)/shoplake demo $(ARGS)

dashboard: .venv/.runtime ## show the demo's lake in a browser, at http://127.0.0.1:8080/
	@test -d shoplake-demo/lake || $(BIN)/shoplake demo
	@$(BIN)/shoplake dashboard --lake shoplake-demo/lake --source shoplake-demo/raw $(ARGS)

test: .venv/.stamp ## run the tests
	@$(BIN)/python -m pytest $(XDIST) --durations 25 $(ARGS)

sample: ## run a quick part of the tests with another PYTHON, beside .venv, in an environment without development tools
	@$(need_python)
	@set -e; env=build/sample/$$("$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	if [ ! -e $$env/.stamp ] || [ requirements.lock -nt $$env/.stamp ]; then \
	    rm -rf $$env; \
	    "$(PYTHON)" -m venv $$env; \
	    $$env/bin/python -m pip install $(PIP_FLAGS) --require-hashes --requirement requirements-runtime.lock; \
	    awk '/^[a-z]/ { keep = /^(pytest|iniconfig|packaging|pluggy|pygments)==/ } keep' requirements.lock > $$env/pytest.lock; \
	    $$env/bin/python -m pip install $(PIP_FLAGS) --require-hashes --requirement $$env/pytest.lock; \
	    $$env/bin/python -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation --editable .; \
	    touch $$env/.stamp; \
	fi; \
	$$env/bin/python -m pytest -q -p no:cacheprovider -m "not s3 and not spark" $(SAMPLE) $(ARGS)

proofs: .venv/.stamp ## run the proofs of the guarantees that take long: an hour (docs/reference/guarantees.md)
	@SHOPLAKE_PROOFS=full $(BIN)/python -m pytest $(XDIST) -m proof $(ARGS)

fuzz: .venv/.stamp ## fuzz the native reader for MINUTES=1, guided by coverage (needs clang)
	@$(BIN)/python tests/native/fuzz.py $(MINUTES)

lint: .venv/.stamp ## check style, format, types, the direction of imports and the templates
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/cfn-lint capstone-starter.cfn.yaml infra/roles.cfn.yaml

docs: .venv/.stamp ## build the documentation site in build/site
	@$(BIN)/python docs/build_reference.py
	@$(BIN)/zensical build --strict

blog: .venv/.stamp ## build the blog post as HTML and .docx in build/blog
	@$(BIN)/python docs/build_blog.py

bench: .venv-bench/.stamp ## time the workloads against the peers
	@$(BENCH_BIN)/python bench/run.py $(ARGS)

grade: .venv/.stamp ## walk the grader's path on an emulator of AWS, from the template to the answers
	@PYTHONPATH=. $(BIN)/python infra/grade.py $(ARGS)

trino: .venv/.stamp ## ask Trino, which Athena is built on, about a lake of DuckDB and Spark (downloads 1.1 GB once; needs Java 24)
	@PYTHONPATH=. $(BIN)/python infra/trino.py

template: .venv/.stamp ## make capstone-starter.cfn.yaml and infra/athena.sql again
	@PYTHONPATH=. $(BIN)/python infra/build_template.py
	@PYTHONPATH=. $(BIN)/python infra/ddl.py

release: .venv-release/.stamp ## build, check and try out the files of a release in dist (nothing is published)
	@PYTHONPATH=. $(RELEASE_BIN)/python infra/release.py

lock: ## resolve the lock files again from pyproject.toml
	@$(need_python)
	@set -e; tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; \
	"$(PYTHON)" -m venv "$$tools/venv"; \
	"$$tools/venv/bin/python" -m pip install $(PIP_FLAGS) uv; \
	uv() { \
	    "$$tools/venv/bin/uv" pip compile --quiet --no-config --generate-hashes --no-annotate \
	        --custom-compile-command "make lock" $(LOCK_FLAGS) "$$@"; \
	}; \
	compile() { uv --universal --python-version 3.11 --group checkout "$$@" pyproject.toml; }; \
	aws() { uv --python-platform x86_64-manylinux_2_28 --constraint requirements.lock --extra s3 "$$@" pyproject.toml; }; \
	compile --extra s3 --extra dev --output-file requirements.lock; \
	compile --extra s3 --extra shell --extra web --constraint requirements.lock --output-file requirements-runtime.lock; \
	compile --extra bench --constraint requirements.lock --output-file requirements-bench.lock; \
	uv --universal --python-version 3.11 --constraint requirements.lock --group release --output-file requirements-release.lock; \
	aws --python-version 3.11 --output-file requirements-glue.lock; \
	aws --python-version 3.13 --output-file requirements-lambda.lock
	@echo "wrote the lock files: requirements*.lock"

clean: ## remove the environments, caches and build results
	rm -rf .venv .venv-bench .venv-release .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# .venv grows: first what shoplake needs to run, then, for everything but the demo, what its development needs. A changed
# lock rebuilds it from scratch; other changes only repeat the editable install, which compiles the native reader.
.venv/.stamp: .venv/.runtime
	@test -e $(BIN)/pytest || echo "adding the development tools to .venv from requirements.lock (once, about a minute)"
	@$(BIN)/python -m pip install $(PIP_FLAGS) --require-hashes --requirement requirements.lock
	@touch $@

.venv/.runtime: .venv/.locked pyproject.toml hatch_build.py $(wildcard src/shoplake/engines/native/*.[ch])
	@$(BIN)/python -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.locked: requirements-runtime.lock requirements.lock
	@$(need_python)
	@echo "setting up .venv from requirements-runtime.lock (once, half a minute)"
	@rm -rf .venv
	@"$(PYTHON)" -m venv .venv || { $(venv_failed); }
	@$(BIN)/python -m pip install $(PIP_FLAGS) --require-hashes --requirement requirements-runtime.lock
	@touch $@

.venv-bench/.stamp: .venv-bench/.locked pyproject.toml hatch_build.py $(wildcard src/shoplake/engines/native/*.[ch])
	@$(BENCH_BIN)/python -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation --editable .
	@touch $@

.venv-release/.stamp: requirements-release.lock
	@$(need_python)
	@rm -rf .venv-release
	@"$(PYTHON)" -m venv .venv-release || { $(venv_failed); }
	@$(RELEASE_BIN)/python -m pip install $(PIP_FLAGS) --require-hashes --requirement requirements-release.lock
	@touch $@

.venv-bench/.locked: requirements-bench.lock
	@$(need_python)
	@echo "setting up .venv-bench from requirements-bench.lock (once, several minutes: Spark is large)"
	@rm -rf .venv-bench
	@"$(PYTHON)" -m venv .venv-bench || { $(venv_failed); }
	@$(BENCH_BIN)/python -m pip install $(PIP_FLAGS) --require-hashes --requirement requirements-bench.lock
	@touch $@

need_python = \
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "shoplake needs Python 3.11 or newer, but '$(PYTHON)' is" \
	        "$$("$(PYTHON)" -c 'import sys; print(sys.version.split()[0])' 2>/dev/null || echo missing)." \
	        "Name another interpreter: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
	    exit 1; \
	}
venv_failed = \
	rm -rf $(@D); \
	echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu, install the package python3-venv." >&2; exit 1
