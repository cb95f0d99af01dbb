# Every target is one line over the command line; `make help` lists them.
# Variables, the same everywhere: INPUT OUTPUT RECIPE RUNNER WORKERS ARGS; PRESET and TRAIN (options) for `train`.

OUTPUT  ?= runs/sample
INPUT   ?=
RECIPE  ?=
RUNNER  ?=
WORKERS ?=
ARGS    ?=
PRESET  ?= tiny
TRAIN   ?=

PYTHON  ?= python3
BIN     := .venv/bin
STAMP   := .venv/.ready
TORCH   := .venv/.trainer
ENGINES := .venv/engines
SPARK   := $(ENGINES)/spark-job-server.jar
FLINK   := $(ENGINES)/flink-job-server.jar
PRISM   := $(ENGINES)/prism
ENGINE   = $(if $(RUNNER),--runner $(RUNNER)) $(if $(WORKERS),--workers $(WORKERS)) $(ARGS)
COMMON   = $(if $(RECIPE),--recipe $(RECIPE)) $(ENGINE)
OPTIONS  = $(if $(INPUT),--input $(INPUT)) $(COMMON)
SOURCES := wikipedia books arxiv stackexchange github c4

# Compilers for fasttext and kenlm; cmake and Boost only for `train-lm` (lmplz).
DEBIAN_PACKAGES := g++ make cmake python3-venv python3-dev libboost-program-options-dev \
  libboost-system-dev libboost-thread-dev zlib1g-dev libbz2-dev liblzma-dev

# For tests alone: the browser that opens the report.
TEST_PACKAGES := chromium
BEAM_VERSION   = $(shell $(BIN)/python -c 'from importlib.metadata import version; print(version("apache-beam"))')

.DEFAULT_GOAL := help
.PHONY: help setup system engines crawl-filter corpus tokenizer shards train report sample test test-all \
  test-spark test-runners bench bench-engines lint clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 16

crawl-filter: $(STAMP)  ## Filter a crawl: the built-in sample, or INPUT=… OUTPUT=… [RECIPE=… RUNNER=… WORKERS=…]
	@$(BIN)/llama-corpus crawl-filter --output $(OUTPUT)/commoncrawl $(OPTIONS)

corpus: $(STAMP)  ## Make all seven sources: the built-in samples, or INPUT=… with a folder a source
	@$(BIN)/llama-corpus crawl-filter --output $(OUTPUT)/commoncrawl \
	  $(if $(INPUT),--input $(INPUT)/commoncrawl) $(COMMON)
	@for source in $(SOURCES); do \
	  printf '\n%s\n' "$$source"; \
	  $(BIN)/llama-corpus build $$source --output $(OUTPUT)/$$source \
	    $(if $(INPUT),--input $(INPUT)/$$source) $(COMMON) || exit; \
	done

RUNS     = $(addprefix $(OUTPUT)/,commoncrawl $(SOURCES))

tokenizer: corpus  ## Make the corpus, and train a tokenizer on it
	@$(BIN)/python -m tokenizer train $(RUNS) --output $(OUTPUT)/tokenizer $(if $(RECIPE),--recipe $(RECIPE))

shards: tokenizer  ## Make corpus and tokenizer, encode the documents, and draw the mixture into shards
	@$(BIN)/llama-corpus tokenize $(RUNS) --tokenizer $(OUTPUT)/tokenizer/tokenizer.model \
	  --output $(OUTPUT)/tokens $(ENGINE)
	@$(BIN)/llama-corpus mix $(OUTPUT)/tokens --output $(OUTPUT)/shards \
	  $(if $(RECIPE),--recipe $(RECIPE)) $(ENGINE)

train: $(TORCH) shards  ## Make the sample's shards, and train the tiny preset on them, or PRESET=… (torch: 5 GB)
	@$(BIN)/python -m trainer --data $(OUTPUT)/shards --preset $(PRESET) --output $(OUTPUT)/model $(TRAIN)

report: shards  ## Make the sample's shards, and a page and a data card about all of it below OUTPUT/report
	@$(BIN)/llama-corpus report $(OUTPUT)

sample: $(STAMP)  ## Build the samples of all sources, and the models, again from the sample's texts
	for name in crawl $(SOURCES); do $(BIN)/python -m corpus.sample.build_$$name || exit; done
	$(BIN)/llama-corpus train-lm --input corpus/sample/texts/encyclopaedia/en.txt --language en \
	  --vocab-size 2500 --binary trie --output corpus/sample/models
	$(BIN)/llama-corpus train-lm --input corpus/sample/texts/encyclopaedia/fr.txt --language fr \
	  --vocab-size 1500 --binary trie --output corpus/sample/models
	rm -rf build/sample
	$(BIN)/llama-corpus crawl-filter --output build/sample --until annotate --without reference
	$(BIN)/llama-corpus calibrate --run build/sample --min-documents 5 --output corpus/sample/models/cutoffs.csv
	$(BIN)/llama-corpus train-classifier --run build/sample --cited corpus/sample/texts/cited-urls.txt --min-chars 300 \
	  --dim 16 --epochs 25 --learning-rate 0.5 --min-count 1 --held-out 0.2 --output corpus/sample/models

test: $(TORCH)  ## Run the tests (a few minutes)
	@$(BIN)/python -m pytest -n auto -m "not (slow or spark or flink or prism)" $(ARGS)

test-all: $(TORCH)  ## Run all tests but those of engines, the slow ones too
	@$(BIN)/python -m pytest -n auto -m "not (spark or flink or prism)" $(ARGS)

test-spark: $(TORCH) $(SPARK)  ## Run the tests on a Spark cluster on this machine (Java 17)
	@$(BIN)/python -m pytest -p no:xdist -m "spark and not slow" tests/engines $(ARGS)

test-runners: $(TORCH) engines  ## Run the tests on every engine, with the real data where it is there
	@$(BIN)/python -m pytest -p no:xdist tests/engines $(ARGS)

bench-engines: $(TORCH) engines  ## Measure the same job on every engine, and a deduplication under a memory limit
	@$(BIN)/python -m tests.bench.engines
	@$(BIN)/python -m tests.bench.dedup

bench: $(TORCH)  ## Measure MB/s per core by stage, and memory at 1× and 10× input
	@$(BIN)/python -m tests.bench $(ARGS)
	@$(BIN)/python -m tests.bench.sources
	@$(BIN)/python -m tests.bench.encoder
	@$(BIN)/python -m tests.bench.reader
	@$(BIN)/python -m tests.bench.compare
	@$(BIN)/python -m tests.bench.plan
	@$(BIN)/python -m tests.bench.trainer

lint: $(TORCH)  ## Check style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

engines: $(SPARK) $(FLINK) $(PRISM)  ## Make the job servers of Spark and Flink (Java, Maven), and Prism (Go)

# Beam's job servers, put together by Maven from Beam's published parts.
$(SPARK) $(FLINK): $(ENGINES)/%-job-server.jar: pipelines/engines/pom.xml | $(STAMP)
	@$(MAKE) --no-print-directory system DEBIAN_PACKAGES="openjdk-17-jdk-headless maven"
	@echo "Building the job server of $* (Maven; 1 minute, 200 MB the first time) …"
	@mvn --batch-mode --quiet --file pipelines/engines/pom.xml --activate-profiles $* package
	@test $* != spark || PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,spark]'
	@mkdir -p $(ENGINES) && mv build/engines/$*/$*-job-server.jar $@

$(PRISM): | $(STAMP)
	@echo "Building Prism $(BEAM_VERSION) (Go; 1 minute the first time) …"
	@mkdir -p $(ENGINES)
	@GOBIN=$(abspath $(ENGINES)) go install github.com/apache/beam/sdks/v2/go/cmd/prism@v$(BEAM_VERSION)

setup: $(STAMP)  ## Make .venv with everything the project needs

$(STAMP): pyproject.toml
	@$(MAKE) --no-print-directory system
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing Python packages (fasttext and kenlm are compiled: 3 to 5 minutes the first time) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@$(BIN)/python -m corpus.kernels
	@touch $@

# torch and what trains with it; Megatron's reader, without its dependencies, to read our shards in a test.
$(TORCH): $(STAMP)
	@echo "Installing torch (5 GB) …"
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,harness]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps 'megatron-core==0.16.*'
	@$(MAKE) --no-print-directory system DEBIAN_PACKAGES="$(TEST_PACKAGES)"
	@touch $@

# Debian packages: installed when root, named when not.
system:
	@command -v dpkg-query >/dev/null || exit 0; \
	missing=$$(for p in $(DEBIAN_PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	test -z "$$missing" && exit 0; \
	if [ "$$(id -u)" = 0 ]; then \
	  echo "Installing Debian packages:" $$missing; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get -qq update && apt-get -qq install -y --no-install-recommends $$missing >/dev/null; \
	else \
	  echo "These Debian packages are not installed (if the next step fails, install them):"; \
	  echo "  sudo apt-get install" $$missing; \
	fi

clean:  ## Delete what tools wrote (.venv and runs stay)
	@rm -rf build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find corpus pipelines tokenizer trainer tests -name __pycache__ -type d -prune -exec rm -rf {} +
