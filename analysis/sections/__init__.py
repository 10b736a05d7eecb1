"""One file per part of the report that only some runs have, such as what a study found.

Each has `section(run, results, comparisons) -> Section | None`, None where the run has nothing for it, and `PLACE`, a
number by which the parts are ordered. A new part is one new file here.
"""
