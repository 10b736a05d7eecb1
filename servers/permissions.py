"""Names as large tokens carry them: what a user may do, by resource and verb."""

from __future__ import annotations

import bisect
import itertools

_RESOURCES = (
    "accounts", "addresses", "alerts", "backups", "billing", "campaigns", "carts", "catalogue", "comments", "contracts",
    "customers", "dashboards", "devices", "discounts", "documents", "exports", "files", "groups", "invoices", "leads",
    "licences", "locations", "messages", "notes", "orders", "payments", "pipelines", "policies", "prices", "products",
    "projects", "refunds", "reports", "returns", "shipments", "stock", "subscriptions", "suppliers", "tickets",
    "webhooks",
)  # fmt: skip
_VERBS = ("read", "list", "create", "update", "delete", "approve", "export", "share", "archive", "assign")
_NAMES = tuple(f"{resource}:{verb}" for verb in _VERBS for resource in _RESOURCES)
# bytes of a JSON array of the first 1, 2, ... names: two quotes and a comma or bracket each, and a bracket
_ARRAY_BYTES = tuple(1 + total for total in itertools.accumulate(len(name) + 3 for name in _NAMES))
CLAIM = "permissions"
_MEMBER_BYTES = len(f',"{CLAIM}":')
MOST_BYTES = 6000
MOST_OVER = _MEMBER_BYTES + max(len(name) for name in _NAMES) + 4  # what a name too many takes, at the most


def filling(document_bytes: int, wanted_bytes: int) -> list[str]:
    """The fewest names with which a compact JSON object of `document_bytes` has `wanted_bytes` at least.

    They stand in a member called `CLAIM`. There are names for `MOST_BYTES`.
    """
    lacking = wanted_bytes - document_bytes - _MEMBER_BYTES
    if wanted_bytes <= document_bytes:
        return []
    return list(_NAMES[: bisect.bisect_left(_ARRAY_BYTES, lacking) + 1])
