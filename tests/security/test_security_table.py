"""docs/security.md tells what is checked, and all of it."""

from pathlib import Path

import pytest

from servers import schemes
from tests.security.checklist import CHECKLISTS, checks
from tests.security.systems import kinds
from tests.security.table import table

PAGE = Path(__file__).parents[2] / "docs" / "security.md"


def test_the_page_has_the_table_as_it_is():
    assert table() in PAGE.read_text(), "python -m tests.security.table prints what belongs into docs/security.md"


@pytest.mark.parametrize(("checklist", "text"), [(name, text) for name, texts in CHECKLISTS.items() for text in texts])
def test_every_line_has_a_check_that_some_system_meets(checklist, text):
    found = [each for each in checks().values() if (each.checklist, each.line) == (checklist, text)]
    assert found
    assert all(each.kinds for each in found)


def test_every_scheme_of_ours_meets_some_check():
    met = {kind for check in checks().values() for kind in check.kinds}
    assert met == set(kinds())
    assert {kind.scheme for kind in met} == {name for name, facts in schemes.facts().items() if facts.package is None}
