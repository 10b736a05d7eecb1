"""While the store is down nobody is let in, nobody waits for long, and nobody has to restart anything."""

import signal
import time

TIMEOUT_S = 0.3


def test_503_soon_and_recovery_by_itself(start, start_valkey, unused_port):
    url = f"redis://127.0.0.1:{unused_port}/0"
    timeout_ms = str(int(TIMEOUT_S * 1000))
    replica = start(AUTH_SCHEME="session", STORE_URL=url, STORE_TIMEOUT_MS=timeout_ms)  # starts without its store

    def ask(headers):
        began = time.monotonic()
        reply = replica.ask("GET", "/me", headers)
        assert time.monotonic() - began < TIMEOUT_S + 1
        return reply

    def recovers():
        deadline = time.monotonic() + 10
        while True:
            body = {"username": "user-00001", "password": "correct horse battery staple"}
            if replica.ask("POST", "/login", body=body).status == 200:
                return replica.log_in()
            assert time.monotonic() < deadline

    def is_unavailable(reply):
        assert reply.status == 503, reply.body
        assert reply.header("Retry-After") == "1"
        assert reply.header("Content-Type") == "application/problem+json"
        assert "127.0.0.1" not in reply.body.decode()

    rubbish = {"Cookie": "__Host-session=" + "A" * 22}
    is_unavailable(ask(rubbish))
    assert replica.ask("GET", "/healthz").status == 200
    with start_valkey(unused_port) as valkey:
        login = recovers()
        assert ask(login.headers).status == 200
        valkey.send_signal(signal.SIGSTOP)  # there, and silent: the worst way to be down
        try:
            is_unavailable(ask(login.headers))
        finally:
            valkey.send_signal(signal.SIGCONT)
    is_unavailable(ask(login.headers))
    with start_valkey(unused_port):
        login = recovers()
        assert replica.ask("POST", "/logout", login.change).status in {204, 503}
