"""nginx, the other balancer: keep-alive to both sides, one worker, no checks but the requests themselves."""

from __future__ import annotations

import grp
import os
import pwd
import socket
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from topology import binaries
from topology.balancer import ROUTE_COOKIE, STICKY, BalancerFacts, Balancing, Front, max_connections
from topology.components.component import Component
from topology.ports import LOOPBACK
from topology.probes import http_ok, tcp_open

# nginx knows the time in milliseconds, and looks at the clock once for all that comes in together: it sets no
# X-Request-Start, so that a replica says nothing of the wait before it, which is better than a wrong time.
FACTS = BalancerFacts(policies=("roundrobin", STICKY, "leastconn"), stamps=False)
_TIMEOUT_S = 5.0
_NOTHING = (b"0", b"-")
_BARRIER = b"GET / HTTP/1.0\r\n\r\n"

# As HAProxy has it, line by line, where nginx can:
# proxy_next_upstream off: a connection that a replica refuses is a failed request, not a slow one. There are no checks
# by themselves in the open-source nginx; a replica that failed one request is left out for 10 s, as its defaults are.
# keepalive: one pool of connections to each replica for all clients; without its limits on requests nginx would close
# every connection, of clients and to replicas, each thousand requests.
# Date and Server are the replica's own, and a client's X-Request-Start, which would be believed, is taken away.
_CONFIG = """\
daemon off;
{user}worker_processes 1;
worker_rlimit_nofile {files};
pid {runtime}/nginx.pid;
error_log stderr warn;
events {{ worker_connections {files}; }}
http {{
    log_format count '$upstream_addr $upstream_bytes_sent';
    access_log {log} count;
    client_body_temp_path {runtime}/body;
    proxy_temp_path {runtime}/proxy;
    fastcgi_temp_path {runtime}/unused;
    uwsgi_temp_path {runtime}/unused;
    scgi_temp_path {runtime}/unused;
    keepalive_timeout 60s;
    keepalive_requests 1000000000;
    large_client_header_buffers 4 16k;
{upstreams}
{maps}
    server {{
{listen}{tls};
        location / {{
            proxy_pass http://{target};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Request-Start "";
            proxy_pass_header Date;
            proxy_pass_header Server;
            proxy_connect_timeout 5s;
            proxy_read_timeout 60s;
            proxy_next_upstream off;
            proxy_buffer_size 16k;
            proxy_buffers 8 16k;
{sticky}
        }}
    }}
    server {{
        listen unix:{barrier};
        access_log off;
        location / {{ return 204; }}
    }}
}}
"""
_UPSTREAM = """\
    upstream {name} {{
{algorithm}{servers}
        keepalive 256;
        keepalive_requests 1000000000;
    }}"""

# Sticky, which the open-source nginx has no word for: a cookie that names a replica leads to a group where it serves
# alone as long as it does, and the others stand behind it. Whoever answered sets the cookie, unless the client has it
# already; nobody does where nginx answers itself because no replica did. As in HAProxy's `insert indirect nocache`
# the replica never sees the cookie, and a cache is told to keep its hands off an answer that sets one.
_STICKY_MAPS = """\
    map $cookie_{cookie} $group {{
        default any;
{groups}
    }}
    map $upstream_addr $answered {{
        default "";
{names}
    }}
    map "$upstream_status $cookie_{cookie}=$answered" $to_set {{
        default "{cookie}=$answered; path=/; HttpOnly{secure}";
        "~^50[24] " "";
        "~=$" "";
{same}
    }}
    map "$to_set $upstream_http_cache_control" $to_caches {{
        default "private";
        "~^ " "";
        "~(no-store|private)" "";
    }}
    map $http_cookie $onward {{
        default $http_cookie;
        "~^ *{cookie}=[^;]*$" "";
        "~^ *{cookie}=[^;]*; *(?<rest>.*)$" $rest;
        "~^(?<before>.*?); *{cookie}=[^;]*(?<after>.*)$" $before$after;
    }}"""
_STICKY_LINES = """\
            proxy_set_header Cookie $onward;
            add_header Set-Cookie $to_set always;
            add_header Cache-Control $to_caches always;"""


def balancing(front: Front) -> Balancing:
    """The nginx before these replicas; it counts by a log of a short line per request, kept in the runtime folder."""
    log, barrier = front.runtime / "requests", front.runtime / "count"
    config = front.logs / "nginx.conf"
    config.write_text(configuration(front, log, barrier))
    argv = (binaries.find("nginx").path, "-e", "stderr", "-p", str(front.runtime), "-c", str(config.absolute()))
    component = Component(
        name="nginx",
        kind="balancer",
        argv=argv,
        port=front.port,
        probe=partial(tcp_open, LOOPBACK, front.port)
        if front.certificate
        else partial(http_ok, LOOPBACK, front.port, "/healthz"),
    )
    return Balancing(component, RequestLog(log, barrier, front.replicas))


def configuration(front: Front, log: Path, barrier: Path) -> str:
    """The text of nginx.conf: `log` takes a line per request, `barrier` is a socket that answers at once."""
    sticky = front.policy == STICKY
    secured = front.certificate is not None
    return _CONFIG.format(
        user=_user(),
        files=2 * max_connections() + 100,
        runtime=front.runtime,
        log=log,
        upstreams="\n".join(_upstreams(front)),
        maps=_sticky_maps(front.replicas, secured=secured) if sticky else "",
        listen=";\n".join(
            f"        listen {host}:{front.port}{' ssl' if secured else ''}"
            for host in (LOOPBACK, front.also_on)
            if host
        ),
        tls=(
            f";\n        ssl_certificate {front.certificate};\n        ssl_certificate_key {front.certificate};"
            "\n        ssl_protocols TLSv1.2 TLSv1.3"
            if secured
            else ""
        ),
        target="$group" if sticky else "any",
        sticky=_STICKY_LINES if sticky else "",
        barrier=barrier,
    )


def _upstreams(front: Front) -> list[str]:
    algorithm = "        least_conn;\n" if front.policy == "leastconn" else ""
    addresses = {name: f"{LOOPBACK}:{port}" for name, port in front.replicas.items()}
    groups = {"any": [f"        server {at};" for at in addresses.values()]}
    if front.policy == STICKY:
        for name in addresses:
            groups[f"only-{name}"] = [
                f"        server {at}{'' if name == other else ' backup'};" for other, at in addresses.items()
            ]
    return [
        _UPSTREAM.format(name=name, algorithm=algorithm, servers="\n".join(servers)) for name, servers in groups.items()
    ]


def _sticky_maps(replicas: Mapping[str, int], *, secured: bool) -> str:
    return _STICKY_MAPS.format(
        cookie=ROUTE_COOKIE,
        groups="\n".join(f'        "{name}" only-{name};' for name in replicas),
        names="\n".join(f'        "{LOOPBACK}:{port}" "{name}";' for name, port in replicas.items()),
        same="\n".join(f'        "~^[0-9]+ {name}={name}$" "";' for name in replicas),
        secure="; Secure" if secured else "",
    )


def _user() -> str:
    """Whose the worker is: the launcher's own, as with every other component; only root may and must say so."""
    if os.geteuid() != 0:
        return ""
    return f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(pwd.getpwuid(0).pw_gid).gr_name};\n"


class RequestLog:
    """Requests sent to each replica, exactly, by reading on in the log.

    The worker writes the line of a request in the same turn as the last octets of its answer, and does one thing after
    the other: once it has answered a question that was asked later, every line of an answer that has come is there.
    """

    def __init__(self, log: Path, barrier: Path, replicas: Mapping[str, int]) -> None:
        self._log, self._barrier = log, barrier
        self._names = {f"{LOOPBACK}:{port}".encode(): name for name, port in replicas.items()}
        self._read_bytes = 0
        self._counted: Counter[str] = Counter(dict.fromkeys(replicas, 0))

    def __call__(self) -> dict[str, int]:
        """By replica since the start. Raises OSError when nginx does not answer."""
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(_TIMEOUT_S)
            asked.connect(str(self._barrier))
            asked.sendall(_BARRIER)
            while asked.recv(4096):
                pass
        with self._log.open("rb") as log:
            log.seek(self._read_bytes)
            whole = log.read().rpartition(b"\n")[0]
        if whole:
            self._read_bytes += len(whole) + 1
            sent = (line.partition(b" ") for line in whole.split(b"\n"))
            # what nginx answered itself has no address of a replica; one that refused the connection was sent nothing
            self._counted.update(self._names[at] for at, _, size in sent if at in self._names and size not in _NOTHING)
        return dict(self._counted)
