# Stage `replica`: one Granian worker that serves the twins, and, as `python -m servers.seed`, what makes their user table.
# Stage `load`: the same with what drives them, for a swarm or a cluster.
FROM python:3.13-slim AS replica

ENV PYTHONUNBUFFERED=1 PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app

# What servers/ imports and what that needs, no more: the rest of the lock drives load and draws reports. A name that
# is missing here fails the build, because pip takes nothing without a hash.
COPY requirements.lock ./
RUN awk -v names="argon2-cffi argon2-cffi-bindings async-timeout blinker cffi click cryptography flask granian \
 hiredis itsdangerous jinja2 markupsafe psycopg psycopg-binary pycparser pyjwt pymemcache redis typing-extensions werkzeug" \
        '/^[^ ]/ { split($1, pin, "=="); wanted = index(" " names " ", " " pin[1] " ") } wanted' \
        requirements.lock > servers.lock \
    && pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
        --require-hashes --only-binary=:all: -r servers.lock

COPY servers/ servers/
COPY deploy/entrypoint.sh /usr/local/bin/authscale-entrypoint
# These belong to the user: a new volume that is mounted there takes over its owner and its mode. The database's user
# reads the password, too.
RUN python -m compileall -q servers \
    && install -d -o 10001 -g 10001 -m 0700 /seed \
    && install -d -o 10001 -g 10001 -m 0755 /password

USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM

# A plain socket, because each check is a process whose CPU time Docker counts as the replica's; urllib costs more.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s CMD ["python", "-I", "-S", "-c", "import socket, sys; \
s = socket.create_connection(('127.0.0.1', 8000), 2); \
s.sendall(b'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n'); \
sys.exit(not s.recv(64).startswith(b'HTTP/1.1 200 '))"]

ENTRYPOINT ["authscale-entrypoint"]
# The argv of topology/components/replica.py, on every address of the container: who reaches it is the network's to say.
CMD ["python", "-m", "granian", "--interface", "wsgi", "--no-ws", "--http", "1", \
     "--host", "0.0.0.0", "--port", "8000", "--workers", "1", "--blocking-threads", "4", \
     "--log-level", "warning", "servers.wsgi:app"]

# What drives: `python -m locust -f loadtests/scenarios/browse.py --master`, and `--worker --master-host load-master`.
FROM replica AS load
USER root
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
        --require-hashes --only-binary=:all: -r requirements.lock
COPY topology/ topology/
COPY loadtests/ loadtests/
RUN python -m compileall -q topology loadtests
ENV PYTHONPATH=/app
USER 10001:10001
HEALTHCHECK NONE
CMD ["python", "-m", "locust", "-f", "loadtests/scenarios/browse.py", "--help"]
