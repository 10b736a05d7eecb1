# authscale: see `make help` (the default), README.md and docs/.
PYTHON ?= python3
PY := .venv/bin/python
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Every knob of an experiment: NAME=value on the command line (or in the environment) becomes --name value.
OPTIONS := TLS TOUCH ALGORITHM CARRIER CLAIMS_BYTES REVOCATION VERIFY_CACHE SHARDS ACCESS_TTL_S GRACE_S SPIN_US BALANCER \
        TOKEN_TTL_S PERSISTENCE CLUSTER_COPIES REPLICA_CPUS STORE_CPUS STORE_RTT_MS WORK_MS WORK_CPU_MS HASH_COST \
        LIFE_S
AXES := EXPERIMENT PROFILE SCHEMES STORES REPLICAS POLICIES SCENARIO MODEL RATE RAMP_TO STEPS ARRIVALS CLIENT \
        MAX_IN_FLIGHT USERS WORKERS REMOTE_WORKERS THINK DURATION WARMUP WARMUP_MAX BLOCKS PRECISION MAX_BLOCKS SEED THREADS ACCOUNTS \
        LOG_OUTS LOG_OUT_RATE LOG_OUTS_WITHIN_S AT_ONCE OBSERVE_S OTHERS_ON COUNTS LOOKUPS IDLE_S EXPIRING SLO \
        RESOLUTION CONFIRM_S FAULTS FAULT_AT FAULT_FOR THRESHOLDS RESULTS RESUME $(OPTIONS)
bench_options := $(foreach axis,$(AXES),$(if $($(axis)),--$(subst _,-,$(shell echo $(axis) | tr A-Z a-z)) '$($(axis))'))

.PHONY: help bench reference bench-auth bench-generator bench-workers worker bench-analysis bench-inference contestants report compare validate up down test lint notebooks lock browser-lab payload plan site claims readme-figures compose-bench swarm-check cluster-secrets

help: ## list the targets
	@echo "authscale: what sessions and tokens cost when one server becomes many"
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22
	@echo
	@echo "  vary a benchmark, for example:"
	@echo "  make bench SCHEMES=session,token STORES=redis REPLICAS=1,2,8 RATE=300 BLOCKS=5"

.venv/.installed: requirements.lock pyproject.toml bootstrap.py
	@$(PYTHON) bootstrap.py && touch -c $@

.venv/.installed-dev: requirements-dev.lock pyproject.toml bootstrap.py
	@$(PYTHON) bootstrap.py --dev && touch -c $@ .venv/.installed

bench: .venv/.installed ## run an experiment (EXPERIMENT=quick), or go on with one (RESUME=latest); then its report
	@$(PY) -m loadtests.run $(bench_options)
	@$(PY) -m analysis.report --run $(or $(RESULTS),results)/latest

compose-bench: .venv/.installed ## the same experiments with every server in a container (needs Docker); knobs as for bench
	@$(PY) -m loadtests.run --launcher compose $(bench_options)
	@$(PY) -m analysis.report --run $(or $(RESULTS),results)/latest

reference: .venv/.installed ## keep a run or a suite without its raw samples, as results/reference: RUN=
	@$(PY) -m analysis.distil --run '$(or $(RUN),$(or $(RESULTS),results)/latest)' --out '$(or $(OUT),results/reference)'

readme-figures: .venv/.installed ## write the figures that README quotes, from results/reference (RUN=)
	@$(PY) -m analysis.readme_figures --run '$(or $(RUN),results/reference)'

plan: .venv/.installed ## what a load needs, from a run: RPS=50000 SLO='p99<50ms' USERS=2000000 (HEADROOM= REPLICA_CPUS= RUN= SESSIONS=)
	@$(PY) -m analysis.plan --rps '$(RPS)' --slo '$(SLO)' --users '$(USERS)' --headroom '$(HEADROOM)' --replica-cpus '$(REPLICA_CPUS)' \
	    --run '$(or $(RUN),latest)' --sessions '$(SESSIONS)' --results '$(or $(RESULTS),results)'

bench-auth: contestants ## cost of authentication by itself, beside Flask-Session and Flask-JWT-Extended
	@$(PY) -m loadtests.run $(bench_options) --experiment auth
	@$(PY) -m loadtests.breakdown --run $(or $(RESULTS),results)/latest
	@$(PY) -m analysis.bench_auth --run $(or $(RESULTS),results)/latest --out $(or $(RESULTS),results)/bench-auth.json

bench-generator: .venv/.installed ## what the generator itself costs, beside stock Locust and wrk (where installed)
	@$(PY) -m loadtests.bench_generator --out $(or $(RESULTS),results)/bench-generator.json

bench-workers: .venv/.installed ## what several Locust workers send together, beside one: ROUNDS= COUNTS=1,2,4 SECONDS= CLIENTS=
	@$(PY) -m loadtests.bench_workers --out $(or $(RESULTS),results)/bench-workers.json \
	    $(foreach option,ROUNDS COUNTS SECONDS CLIENTS,$(if $($(option)),--$(shell echo $(option) | tr A-Z a-z) '$($(option))'))

worker: .venv/.installed ## send a part of what `make bench REMOTE_WORKERS=` of another host asks for: AUTHSCALE_MASTER=10.0.0.5
	@test -n '$(AUTHSCALE_MASTER)' || { echo 'authscale: make worker AUTHSCALE_MASTER=10.0.0.5, as on the host of make bench' >&2; exit 2; }
	@while :; do GEVENT_BACKEND=select $(PY) -m locust -f - --worker --loglevel WARNING \
	    --master-host $(firstword $(subst :, ,$(AUTHSCALE_MASTER))) --master-port $(or $(word 2,$(subst :, ,$(AUTHSCALE_MASTER))),5557); sleep 1; done

bench-analysis: .venv/.installed ## time and memory of a report over 10 million synthetic samples
	@$(PY) -m analysis.bench_analysis --out $(or $(RESULTS),results)/bench-analysis.json

bench-inference: .venv/.installed ## do intervals, tests and verdicts keep what they promise? on simulated data
	@$(PY) -m analysis.coverage --out $(or $(RESULTS),results)/coverage.json

contestants: .venv/.installed-dev ## install what the schemes flask-session and flask-jwt-extended need

validate: .venv/.installed ## can these figures be trusted? known truth, A/A, sensitivity, accounting, octets (under 10 minutes)
	@$(PY) -m loadtests.validate --results '$(or $(RESULTS),results)' $(if $(QUICK),--quick)
	@$(PY) -m analysis.validate --run '$(or $(RESULTS),results)/latest-validate' --out '$(or $(RESULTS),results)/validate.json'

browser-lab: .venv/.installed ## what injected scripts and other sites' pages can do with a credential, in headless Chromium
	@$(PY) -m loadtests.browser_lab --results '$(or $(RESULTS),results)' $(if $(QUICK),--quick)
	@$(PY) -m analysis.browser_lab --run '$(or $(RESULTS),results)/latest-browser-lab'

payload: .venv/.installed ## octets of a credential over HTTP/1.1 and HTTP/2, first and repeated; then its report
	@$(PY) -m loadtests.run $(bench_options) --experiment payload
	@$(PY) -m analysis.report --run $(or $(RESULTS),results)/latest

report: .venv/.installed ## write the report of a finished run again: RUN=results/...
	@$(PY) -m analysis.report --run $(or $(RUN),$(or $(RESULTS),results)/latest) $(if $(THRESHOLDS),--thresholds '$(THRESHOLDS)')

claims: .venv/.installed ## the ledger of common claims of a run or a suite that was reported: RUN=
	@$(PY) -m analysis.ledger --run '$(or $(RUN),$(or $(RESULTS),results)/latest)'

site: .venv/.installed ## one page of all runs in results/, and comparisons between them: results/index.html
	@$(PY) -m analysis.site --results '$(or $(RESULTS),results)' $(if $(MOST),--most '$(MOST)')

compare: .venv/.installed ## two runs against each other: A=results/x B=results/y (or latest, previous, reference)
	@$(PY) -m analysis.compare_runs --a '$(or $(A),previous)' --b '$(or $(B),latest)' $(if $(RESULTS),--results '$(RESULTS)') \
	    $(if $(THRESHOLDS),--thresholds '$(THRESHOLDS)') $(if $(FORCE),--force)

swarm-check: .venv/.installed ## does a rolling update on a swarm lose a request? (needs Docker): CASES=token,session REPLICAS= RATE= USERS=
	@$(PY) -m loadtests.swarm_check --out '$(or $(RESULTS),results)/swarm-check.json' --network '$(or $(BUILD_NETWORK),default)' \
	    $(if $(CASES),--cases '$(CASES)') $(if $(REPLICAS),--replicas '$(REPLICAS)') $(if $(RATE),--rate '$(RATE)') \
	    $(if $(USERS),--users '$(USERS)') $(if $(ORDER),--order '$(ORDER)')

cluster-secrets: .venv/.installed ## keys and passwords of one deployment, made and handed over: TO=swarm|kubernetes NAME= ALGORITHM=
	@PYTHON=$(PY) TOKEN_ALGORITHM='$(ALGORITHM)' deploy/make-secrets '$(TO)' $(if $(NAME),'$(NAME)')

up: .venv/.installed ## start one topology to use by hand: SCHEME= STORE= REPLICAS=
	@$(PY) -m topology.up up $(if $(SCHEME),--scheme '$(SCHEME)') $(if $(STORE),--store '$(STORE)') \
	    $(if $(REPLICAS),--replicas '$(REPLICAS)') $(if $(POLICY),--policy '$(POLICY)') $(if $(THREADS),--threads '$(THREADS)') \
	    $(foreach axis,$(OPTIONS),$(if $($(axis)),--$(subst _,-,$(shell echo $(axis) | tr A-Z a-z)) '$($(axis))'))

down: .venv/.installed ## end what `make up` started
	@$(PY) -m topology.up down

# what measures runs alone, after the rest has run on several cores; with PYTEST= one run of what it names
test: .venv/.installed-dev ## run the tests
ifdef PYTEST
	@$(PY) -m pytest $(PYTEST)
else
	@$(PY) -m pytest -n 3 --dist loadfile -m 'not bench'
	@$(PY) -m pytest -m bench
endif

lint: .venv/.installed-dev ## ruff, mypy (strict), import-linter
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy && .venv/bin/lint-imports

notebooks: .venv/.installed-dev ## execute the notebooks on the latest run (or RUN=), as pages in its folder
	@JUPYTER_PLATFORM_DIRS=1 $(PY) -m analysis.notebook_pages --run '$(or $(RUN),$(or $(RESULTS),results)/latest)'

lock: ## pin every dependency anew (needs uv)
	@uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
	    --python-version 3.11 pyproject.toml -o requirements.lock
	@uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
	    --python-version 3.11 -c requirements.lock --group dev --extra contestants pyproject.toml -o requirements-dev.lock
