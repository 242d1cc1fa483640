# Everything starts here: `make quickstart` shows the method at work, `make test` tests it.
# All of it happens in .venv, which is made on the first call and made again only when its requirements change.

PYTHON ?= python3
# Options for `make test` and `make lab`, such as TEST_ARGS="-k cameras" or LAB_ARGS=--no-browser.
TEST_ARGS ?=
# Processes that share the tests, each on one thread; a file's tests stay together, so that they share their fixtures.
TEST_WORKERS ?= 2
PYTEST := -m pytest --nbval-lax --nbval-current-env --numprocesses $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder
LAB_ARGS ?=
# Options for `make study`, such as "--only main --processes 2".
STUDY_ARGS ?=
# Options for `make bench-gpu`, such as "--device cpu --scale 0.1 --rays 64 --views 3", which tries the run itself.
BENCH_ARGS ?=
# Options for `make lock`: without any, only what pyproject.toml no longer allows changes; --upgrade renews everything.
LOCK_ARGS ?=

VENV := .venv
IN_VENV := $(CURDIR)/$(VENV)/bin/python
STAMP := $(VENV)/.stamp

# On a CPU, torch returns every large temporary to the system and pays for each page again. glibc reads these before
# python starts: keep what was freed, for all threads together, grow in large steps, and ask for huge pages. Other
# systems ignore them.
export MALLOC_ARENA_MAX ?= 1
export MALLOC_MMAP_THRESHOLD_ ?= 8589934592
export MALLOC_TRIM_THRESHOLD_ ?= 17179869184
export MALLOC_TOP_PAD_ ?= 1073741824
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
# As in maskrf_core/__init__.py, for what imports torch first: threads that wait spin briefly, then sleep.
export OMP_WAIT_POLICY ?= PASSIVE
export GOMP_SPINCOUNT ?= 5000
# A kernel found on this path would be started in place of this environment's own.
unexport JUPYTER_PATH

# Minutes of training for `make weights`.
MINUTES ?= 10
# Scenes beside those that are trained on.
VALIDATED_ON := $(foreach kind,objects tables rooms,$(kind)_9000 $(kind)_9001)

.PHONY: help quickstart test test-long lab lint notebooks twins index bench bench-gpu weights study lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

quickstart: $(STAMP)  ## notebooks 01 to 05 in five minutes, and one page of what they show
	$(IN_VENV) -m maskrf_core.workbook.quickstart

test: $(STAMP)  ## the tests of every change, in minutes
	$(IN_VENV) $(PYTEST) -m "not long" $(TEST_ARGS)

test-long: $(STAMP)  ## every test, with more kills and mutations: some of an hour
	MASKRF_LONG=1 $(IN_VENV) $(PYTEST) $(TEST_ARGS)

lab: $(STAMP)  ## JupyterLab on this environment
	$(IN_VENV) -m jupyterlab --ServerApp.root_dir="$(CURDIR)" $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_ARGS)

lint: $(STAMP)  ## format and lint rules, in code and notebooks
	$(IN_VENV) -m ruff format --check .
	$(IN_VENV) -m ruff check .

notebooks: $(STAMP)  ## execute the committed notebooks in place, at demo size
	$(IN_VENV) -m maskrf_core.workbook.publish

twins: $(STAMP)  ## write each notebook as a file of Python beside it, which is easier to review
	$(IN_VENV) -m jupytext --quiet --to py:percent --opt notebook_metadata_filter=-all notebooks/[0-9]*.ipynb

index: $(STAMP)  ## write runs/index.html, a page of all run folders, again
	$(IN_VENV) -m maskrf_core.workbook.reports

bench: $(STAMP)  ## speed, memory and growth of rendering, depth estimation, data loading and training
	$(IN_VENV) -m tests.benchmarks.rendering
	$(IN_VENV) -m tests.benchmarks.training_step
	$(IN_VENV) -m tests.benchmarks.memory
	$(IN_VENV) -m tests.benchmarks.data
	$(IN_VENV) -m tests.benchmarks.training
	$(IN_VENV) -m tests.benchmarks.growth
	$(IN_VENV) -m tests.benchmarks.aggregator_costs

bench-gpu: $(STAMP)  ## speed, memory and kernels on a GPU, in at most eight minutes; goes on where a run was cut off
	timeout 480 $(IN_VENV) -m tests.benchmarks.gpu $(BENCH_ARGS)

weights: $(STAMP)  ## train the weights that ship for MINUTES more, on whatever device there is
	$(IN_VENV) -m maskrf_core.datasets.procedural objects tables rooms cutouts $(VALIDATED_ON)
	$(IN_VENV) -m maskrf_core.training.zoo --minutes $(MINUTES)

study: $(STAMP)  ## run what is left of the study of docs/study.md; STUDY_ARGS=--plan says what that is
	nice $(IN_VENV) -m maskrf_core.workbook.experiments.study $(STUDY_ARGS)

# The stamp is written last: an install that was interrupted is taken up again by the next call. The first install takes
# only files of known hashes, and leaves torch with what it brings to the second; requirements.hashes says why.
$(STAMP): requirements.hashes requirements.lock pyproject.toml
	@.ci/make_venv "$(PYTHON)" $(VENV)
	$(IN_VENV) -m pip --disable-pip-version-check install --require-hashes --no-deps -r requirements.hashes
	$(IN_VENV) -m pip --disable-pip-version-check install -r requirements.lock
	$(IN_VENV) -m pip --disable-pip-version-check install --no-deps --no-build-isolation -e .
	@touch $@

lock:  ## write requirements.lock and its hashes again from pyproject.toml
	@set -eu; work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	.ci/make_venv "$(PYTHON)" "$$work/venv"; \
	"$$work/venv/bin/python" -m pip --disable-pip-version-check install --quiet uv; \
	compile() { "$$work/venv/bin/uv" pip compile pyproject.toml --extra dev --universal --python-version 3.10 --quiet \
		--no-header "$$@"; }; \
	with_comment_of() { sed '/^[^#]/,$$d' $$1; awk "/^[^ #]/ { keep = !/^($$3)/ } keep" "$$2"; }; \
	cuda="nvidia-|cuda-"; \
	cp requirements.lock "$$work/lines"; \
	compile --annotation-style line --output-file "$$work/lines" $(LOCK_ARGS); \
	cp "$$work/lines" "$$work/hashes"; \
	compile --no-annotate --generate-hashes --output-file "$$work/hashes"; \
	with_comment_of requirements.lock "$$work/lines" "$$cuda" > "$$work/requirements.lock"; \
	with_comment_of requirements.hashes "$$work/hashes" "$$cuda|torch==|torchvision==" > "$$work/requirements.hashes"; \
	for file in requirements.lock requirements.hashes; do \
		if cmp -s "$$work/$$file" $$file; then echo "$$file is as it was"; continue; fi; \
		cp "$$work/$$file" $$file.new; mv $$file.new $$file; \
	done

clean:  ## remove the environment and what tools left behind; runs and data stay
	rm -rf $(VENV) *.egg-info .pytest_cache .ruff_cache .hypothesis
