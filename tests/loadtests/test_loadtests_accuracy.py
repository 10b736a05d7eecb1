"""Who must be refused and who must not: what a user keeps for it, how an answer is judged, what is counted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests import accuracy, samples
from loadtests.client import Answer
from loadtests.credentials import Credential, from_reply
from loadtests.judging import outcome_of
from loadtests.past_credentials import MARGIN_NS, PastCredentials, forged, is_good
from topology.spec import Topology

S = 1_000_000_000
ROOT = Path(__file__).parents[2]


def _answer(status: int, body: bytes = b"") -> Answer:
    answer = Answer(1)
    answer.status, answer.body = status, body
    return answer


@pytest.mark.parametrize(
    ("expected", "status", "outcome"),
    [
        (200, 200, samples.OK),
        (200, 401, samples.REFUSED),
        (200, 500, samples.ERROR),
        (401, 401, samples.OK),
        (401, 200, samples.ACCEPTED),
        (401, 204, samples.ACCEPTED),
        (401, 500, samples.ERROR),
        (401, 403, samples.ERROR),
    ],
)
def test_an_answer_is_judged_by_what_was_expected(expected: int, status: int, outcome: str):
    assert outcome_of(_answer(status, b"somebody"), expected, "") == outcome


def test_an_answer_that_names_somebody_else_is_wrong_and_none_at_all_is_failed():
    assert outcome_of(_answer(200, b'{"user": "eve"}'), 200, "alice") == samples.ERROR
    for failure, outcome in ((TimeoutError(), samples.TIMEOUT), (ConnectionError(), samples.FAILED)):
        for expected in (200, 401):
            answer = _answer(0)
            answer.failure = failure
            assert outcome_of(answer, expected, "") == outcome


def test_nothing_is_expected_of_a_credential_near_its_end():
    past, credential = PastCredentials(), Credential(b"Authorization: Bearer x\r\n")
    past.leave(credential, 10 * S)
    assert past.expired(10 * S) is None
    assert past.expired(10 * S + MARGIN_NS) is credential
    assert is_good(10 * S, 10 * S - MARGIN_NS)
    assert not is_good(10 * S, 10 * S - MARGIN_NS + 1)
    assert is_good(float("inf"), 10 * S)


def test_what_was_signed_out_of_is_tried_while_it_would_be_good_but_for_that():
    past, first, second = PastCredentials(), Credential(b"a: b\r\n"), Credential(b"a: c\r\n")
    assert past.revoked(0) is None
    past.revoke(first, 10 * S)
    past.revoke(second, 20 * S)
    assert past.revoked(11 * S) is second
    assert past.revoked(20 * S) is None  # that would be one that has expired
    assert past.expired(100 * S) is None  # and is never taken for one that only expired


@pytest.mark.parametrize(
    "line",
    [b"Authorization: Bearer head.claims.signature\r\n", b"Cookie: __Host-session=AbCdEf\r\n", b"Cookie: a=A\r\n"],
)
def test_a_forgery_is_one_letter_off_where_it_counts(line: bytes):
    made = forged(Credential(line, lives_s=3)).line
    (place,) = [index for index, (ours, theirs) in enumerate(zip(line, made, strict=True)) if ours != theirs]
    assert place == max(line.rfind(b"."), line.rfind(b"=")) + 1


def test_there_is_nothing_to_forge_of_nothing():
    with pytest.raises(ValueError, match="nothing to change"):
        forged(Credential(b""))


def test_a_cookie_says_how_long_it_lives():
    wanted = {"kind": "cookie", "name": "sid", "csrf_header": "X-C", "csrf_token": "t"}
    body = json.dumps({"credential": wanted}).encode()
    assert from_reply(body, [b"other=1; Max-Age=9", b"sid=x; Path=/; Max-Age=43200; Secure"]).lives_s == 43200
    assert from_reply(body, [b"sid=x; Path=/; Secure"]).lives_s == 0


COUNTED = {
    "": {"dropped": 2},
    "me": {"ok": 90, "refused": 3, "error": 1},
    "me-expired": {"ok": 7, "accepted": 2},
    "me-revoked": {"accepted": 5},
}


def test_accuracy_is_counted_by_what_was_asked():
    found = accuracy.accuracy_of(COUNTED, Topology("token", "none", 1))
    assert found == {
        "must_refuse": {
            "me-expired": {"sent": 9, "accepted": 2, "refused": 7, "other": 0, "by_design": False},
            "me-revoked": {"sent": 5, "accepted": 5, "refused": 0, "other": 0, "by_design": True},
        },
        "must_accept": {"me": {"sent": 94, "accepted": 90, "refused": 3, "other": 1}},
    }
    assert accuracy.accuracy_of({"me": {"ok": 3}}, Topology("token", "none", 1)) is None


def test_what_a_scheme_cannot_know_is_no_fault_of_its_server():
    plain, denied = Topology("token", "none", 1), Topology("token", "redis", 1, options={"revocation": "denylist"})
    assert accuracy.false_accepts(COUNTED, accuracy.by_design(plain)) == {"me-expired": 2}
    assert accuracy.false_accepts(COUNTED, accuracy.by_design(denied)) == {"me-expired": 2, "me-revoked": 5}
    assert accuracy.by_design(Topology("session", "redis", 2)) == frozenset()
    assert accuracy.by_design(Topology("session", "replicated", 2)) == {"me-revoked"}  # for as long as the copies lag


# importing a scenario imports Locust, which patches the process that it is in
_WEIGHTS = """
import collections, importlib.util, json, sys
spec = importlib.util.spec_from_file_location("scenario", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
(user,) = [each for each in vars(module).values() if getattr(each, "tasks", None)]
print(json.dumps(collections.Counter(task.__name__ for task in user.tasks)))
"""


@pytest.mark.parametrize(
    ("scenario", "shares"),
    [
        ("browse", {"read": 1}),
        ("login", {"sign_in": 1}),
        ("mixed", {"read": 77, "renew": 3, "change": 18, "leave": 2}),
        (
            "churn",
            {"read": 74, "change": 8, "renew": 3, "sign_out": 3, "come_back": 2, "come_back_late": 3, "go_back": 3,
             "make_up": 4},
        ),
    ],
)  # fmt: skip
def test_the_proportions_are_those_that_the_scenario_tells(scenario: str, shares: dict[str, int]):
    argv = [sys.executable, "-c", _WEIGHTS, str(ROOT / "loadtests" / "scenarios" / f"{scenario}.py")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == shares
    assert sum(shares.values()) in (1, 100)
