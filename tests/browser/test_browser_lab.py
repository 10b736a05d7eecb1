import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.bench  # a browser beside other tests is too slow for its own deadlines

ROOT = Path(__file__).parents[2]


def _attempts(document, **wanted):
    rows = [each for each in document["csrf"] if all(each[name] == value for name, value in wanted.items())]
    assert rows, wanted
    return rows


def _theft(document, place):
    (found,) = [each for each in document["storage"] if each["place"] == place]
    return found


@pytest.mark.parametrize("place", ["localStorage", "sessionStorage", "global variable", "script cookie"])
def test_what_a_script_can_name_it_reads(document, place):
    assert _theft(document, place)["read_at_rest"]


def test_a_closure_is_read_by_listening_alone(document):
    found = _theft(document, "closure variable")
    assert not found["read_at_rest"]
    assert found["read_in_use"]


def test_an_http_only_cookie_is_never_read_and_used_all_the_same(document):
    found = _theft(document, "HttpOnly cookie")
    assert not found["read_at_rest"]
    assert not found["read_in_use"]
    assert found["used_in_page"]
    assert found["found_in_use"] > 0  # it did listen


def test_a_form_of_another_site_changes_what_nothing_protects(document):
    (form,) = _attempts(document, same_site="None", csrf_check="off", origin="another site", attempt="form")
    assert form["state_changed"]
    assert form["serial_after"] == form["serial_before"] + 1


def test_strict_keeps_the_cookie_at_home(document):
    rows = _attempts(document, same_site="Strict", csrf_check="off", origin="another site")
    assert not any(each["credential_sent"] or each["state_changed"] for each in rows)


def test_the_csrf_check_refuses_what_comes_with_the_cookie(document):
    rows = _attempts(document, same_site="None", csrf_check="token", origin="another site")
    assert not any(each["state_changed"] for each in rows)
    (form,) = [each for each in rows if each["attempt"] == "form"]
    assert form["credential_sent"]
    assert form["arrived"] == ["POST 403"]


def test_a_bearer_is_never_sent_by_itself(document):
    rows = _attempts(document, transport="bearer header", origin="another site")
    assert not any(each["credential_sent"] or each["state_changed"] for each in rows)


def test_on_every_server_the_own_page_can_change_the_state(document):
    own = _attempts(document, origin="own page")
    assert len(own) == len({(each["transport"], each["same_site"], each["csrf_check"]) for each in document["csrf"]})
    assert all(each["state_changed"] for each in own)


def test_the_claims_say_what_the_rows_say(document):
    assert document["claims"]["header-storage"] == {
        "browser_storage_read": True,
        "variable_read": True,
        "closure_read_at_rest": False,
        "http_only_cookie_read": False,
        "http_only_cookie_used_in_page": True,
    }
    csrf = document["claims"]["cookie-csrf"]
    assert csrf["unprotected_cookie_changed"] is True
    assert csrf["checked_cookie_changed"] is False
    assert csrf["bearer_changed"] is False
    assert csrf["strict_cookie_changed_by_a_sibling"] is None  # nobody tried


def test_both_pages_are_written_and_name_the_browser(lab, document):
    assert document["chromium"].partition("/")[2][0].isdigit()
    for name in ("lab.html", "lab.md"):
        assert document["chromium"] in (lab / name).read_text()
    assert "http" not in (lab / "lab.html").read_text().replace("http://www.w3.org/", "").replace("HttpOnly", "")


def test_without_a_browser_nothing_starts_and_the_package_is_named(tmp_path):
    env = {**os.environ, "AUTHSCALE_CHROMIUM": "/nowhere/chromium"}
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.browser_lab", "--results", str(tmp_path)],
        cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "AUTHSCALE_CHROMIUM" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_without_a_browser_on_the_path_the_package_is_named(tmp_path):
    (tmp_path / "bin").mkdir()
    env = {**os.environ, "PATH": str(tmp_path / "bin")}
    env.pop("AUTHSCALE_CHROMIUM", None)
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.browser_lab", "--results", str(tmp_path / "results")],
        cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "apt install chromium" in done.stderr
    assert not (tmp_path / "results").exists()
