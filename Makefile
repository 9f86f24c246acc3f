# The same commands for development and CI. `make demo` and `make test` do all the set-up.
VENV ?= .venv
EXTRAS ?= test
PYTHON ?= python3
BIN = $(VENV)/bin
READY = $(VENV)/.ready-$(subst $(comma),-,$(EXTRAS))
comma := ,

.PHONY: demo page test quick check bench bench-growth gpu-check chaos fuzz siege golden approved mutants cover docs pictures browser postgres lis-node oidc-node lock notices sbom install-check train-gpu clean

demo: $(READY)
	$(BIN)/cytostream demo

page: $(READY)
	$(BIN)/cytostream demo --serve

# Processes that run tests; those of one file stay in one.
WORKERS ?= 2
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test: $(READY)
	$(PYTEST)

quick: $(READY)  # what needs no broker, browser, torch or training
	$(PYTEST) -m quick -p no:schemathesis

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy

bench: $(READY)  # how long slides take beside a user's own script: python -m tests.tools.bench.waiting SLIDES
	$(BIN)/python -m tests.tools.bench

bench-growth: $(READY)  # what a further cell costs in a store of 1,000 cells and of a million; draws growth.png
	$(BIN)/python -m tests.tools.bench.growth $(GROWTH)

gpu-check:  # on a machine with an NVIDIA GPU and torch with CUDA: one JSON file, under 4 minutes
	$(or $(wildcard $(BIN)/python),$(PYTHON)) -m tests.tools.gpu_check $(GPU_CHECK)

chaos: $(READY)
	$(BIN)/python -m tests.tools.chaos $(CHAOS)

fuzz: $(READY)
	$(BIN)/python -m tests.tools.fuzz $(FUZZ)

siege: $(READY)
	$(BIN)/python -m tests.tools.siege $(SIEGE)

# On a machine with a GPU and the train extra, from the packed data alone: goes on where it stopped. DEVICE=cpu MINUTES=1 rehearses it.
RECIPE ?= configs/training/white-cells.toml
PACKED ?= runs/white-cells.zip
RUN ?= runs/white-cells-gpu
DEVICE ?= cuda
MINUTES ?= 9
BATCH ?= 512

$(PACKED):
	$(BIN)/cytostream pack-data $(RECIPE) --out $@

train-gpu: $(PACKED)
	$(BIN)/cytostream train $(PACKED) --out $(RUN) --device $(DEVICE) --minutes $(MINUTES) --batch $(BATCH) --compact

golden: $(READY)  # after a change that moves figures, or an exchanged model: what the tests hold them against
	$(BIN)/python -m tests.tools.golden
	$(BIN)/python -m pytest -q --remake-golden tests

APPROVING = $$(grep -rl "import approved" tests --include="test_*.py")
approved: $(READY)  # after outputs were changed on purpose: read what differs before it is kept
	CYTOSTREAM_APPROVE=1 $(BIN)/python -m pytest -q $(APPROVING)
	git diff --stat -- "tests/**/approved"

mutants: $(READY) | runs/line-map
	$(BIN)/python -m tests.tools.mutants $(MUTANTS)

cover: $(READY)  # branches that no test takes: not a goal, a map, which `make mutants` reads
	-$(BIN)/python -m tests.tools.mutants.line_map -n $(WORKERS) --dist loadfile
	COVERAGE_FILE=runs/line-map/.coverage $(BIN)/python -m coverage report --skip-covered --sort=cover

runs/line-map:
	$(MAKE) cover

docs: $(READY)  # the documentation, in docs/_build/index.html
	$(BIN)/python -m sphinx -W -q -b html docs docs/_build

pictures: $(READY)  # those of the README, of the demo's generated cells: docs/pictures; needs Chromium
	$(BIN)/python -m tests.tools.pictures

browser:  # what tests/browser needs beside the test extra; without it they skip
	command -v chromium > /dev/null || (apt-get update -qq && apt-get install -y -qq chromium)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS)]'
	touch $@

TOOLS = $(VENV)/tools
install-check: $(READY)  # the deployment's own installation, in a throwaway folder; needs the package index
	rm -rf $(VENV)/deployed && PYTHON=$(PYTHON) deploy/install.sh $(VENV)/deployed
	$(VENV)/deployed/bin/python -m pip check && $(VENV)/deployed/bin/cytostream demo --help > /dev/null
	rm -rf $(VENV)/deployed

lock: $(READY)  # deploy/requirements.lock: every package of a deployment on such a machine, with its digest
	$(BIN)/python -m pip install --quiet --dry-run --ignore-installed --report $(VENV)/report.json '.[exports,lis,metrics,oidc]' 'setuptools>=77'
	$(BIN)/python deploy/lock.py < $(VENV)/report.json > deploy/requirements.lock

sbom: $(READY)  # sbom.json: the packages of this environment as CycloneDX 1.6
	$(PYTHON) -m venv $(TOOLS) && $(TOOLS)/bin/python -m pip install --quiet cyclonedx-bom==7.5.0
	$(TOOLS)/bin/cyclonedx-py environment --spec-version 1.6 --output-file sbom.json $(BIN)/python

notices: $(READY)  # THIRD-PARTY-NOTICES.txt: licences of what an installation runs with; names those without
	$(BIN)/python deploy/notices.py > THIRD-PARTY-NOTICES.txt

postgres:  # a server that the tests of a store on PostgreSQL start; without it they skip
	test -d /usr/lib/postgresql || (apt-get update -qq && apt-get install -y -qq postgresql)

lis-node:  # the Node packages that tests of HL7 use where they are there
	npm install --silent --no-audit --no-fund --prefix .node node-hl7-server@2.5.0 node-hl7-client@4.0.0

oidc-node:  # the certified OpenID Connect provider that tests of sign-in start where it is there
	npm install --silent --no-audit --no-fund --prefix .node oidc-provider@9.13.3

clean:
	rm -rf $(VENV) demo-out
