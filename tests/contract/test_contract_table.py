"""docs/stores.md tells what each operation costs each store, as the stores count it."""

import os
from pathlib import Path

import pytest

from servers import stores
from tests.contract.table import counted, operations, section
from topology import binaries
from topology.backing import binary_names
from topology.binaries import BinaryError

PAGE = Path(__file__).parents[2] / "docs" / "stores.md"


@pytest.mark.parametrize("facts", counted(), ids=lambda facts: facts.name)
def test_the_page_has_the_table_as_it_is(facts):
    try:
        for name in binary_names(facts.needs):
            binaries.find(name)
    except BinaryError as error:  # no wheel has it; continuous integration installs it
        if os.environ.get("AUTHSCALE_CI"):
            raise
        pytest.skip(str(error))
    told = "python -m tests.contract.table prints what belongs into docs/stores.md"
    assert section(facts) in PAGE.read_text(), told


def test_the_page_names_every_store_and_counts_every_operation():
    page = PAGE.read_text()
    assert [name for name in stores.facts() if f"`{name}`" not in page and f"## {name}\n" not in page] == []
    assert all(page.count(f"\n| {name} |") == len(counted()) for name in operations())
