"""What people read about the endpoints, made of their records: the tables of docs/api.md, and help in a terminal.

python -m godkaiser.http.reference     renews docs/api.md in the working directory
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from godkaiser.http.access.permissions import API
from godkaiser.http.endpoint import JSON, NO_CONTENT, Endpoint
from godkaiser.http.endpoints import ENDPOINTS
from godkaiser.http.openapi import refusals_of, summary_of_access

PAGE = Path("docs/api.md")
BEGIN = (
    "<!-- Made by `make reference` from the records in godkaiser/http/resources; edit those. -->"
)
END = "<!-- End of what is made. -->"


def renewed(page: str) -> str:
    """The page with its tables as the records are now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{''.join(_tables())}\n{END}{after}"


def _tables() -> Iterator[str]:
    for area in dict.fromkeys(one.area for one in ENDPOINTS):
        yield f"\n### {area}\n\n| request | role | what it does |\n|---|---|---|\n"
        for endpoint in ENDPOINTS:
            if endpoint.area == area:
                yield f"| `{endpoint.method} {endpoint.path}` | {role_of(endpoint)} | {_row(endpoint)} |\n"


def role_of(endpoint: Endpoint) -> str:
    return "open" if endpoint.role is None else endpoint.role.word


def _row(endpoint: Endpoint) -> str:
    parts = [endpoint.says, endpoint.details]
    if endpoint.for_debugging:
        parts.append("With `[debug] endpoints`.")
    if endpoint.for_people:
        parts.append("For people alone.")
    if endpoint.body is not None:
        parts.append(f"Body: {', '.join(f'`{name}`' for name in _fields_of(endpoint.body))}.")
    if endpoint.query:
        parts.append(f"`?{'&'.join(f'{one.name}=' for one in endpoint.query)}`.")
    if endpoint.edits or endpoint.tagged:
        taken = "takes `If-Match`" if endpoint.edits else ""
        told = "answers an `ETag`" if endpoint.tagged else ""
        text = ", ".join(filter(None, (taken, told)))
        parts.append(f"{text[0].upper()}{text[1:]}.")
    if endpoint.status != 200:  # noqa: PLR2004
        parts.append(f"→ {endpoint.status}")
    return " ".join(filter(None, parts)).replace("|", "\\|")


def _fields_of(body: Any) -> Iterator[str]:
    for field in msgspec.structs.fields(body):
        yield field.encode_name if field.required else f"{field.encode_name}?"


def help_of(endpoint: Endpoint) -> str:
    """All that a record says, for a terminal."""
    lines = [f"{endpoint.method} {API}{endpoint.path}", "", f"  {endpoint.says}"]
    lines += [f"  {text}" for text in (endpoint.details, summary_of_access(endpoint)) if text]
    if endpoint.query:
        lines += ["", "Query:"]
        lines += [f"  {one.name:<16} {one.description}" for one in endpoint.query]
    if endpoint.body is not None:
        lines += ["", f"Body: {', '.join(_fields_of(endpoint.body))}"]
    for body, path in endpoint.examples:
        where = endpoint.path
        for name, value in path.items():
            where = where.replace(f"{{{name}}}", value)
        lines += ["", "Example:", f"  {endpoint.method} {API}{where}", f"  {json.dumps(body)}"]
    lines += ["", f"Answer: {endpoint.status}{_shape_of(endpoint)}", "", "Errors:"]
    lines += [f"  {status} {', '.join(codes)}" for status, codes in refusals_of(endpoint).items()]
    return "\n".join(lines)


def _shape_of(endpoint: Endpoint) -> str:
    if endpoint.status == NO_CONTENT:
        return ", no body"
    if endpoint.media != (JSON,):
        return f" {' or '.join(endpoint.media)}"
    kinds = endpoint.answer if isinstance(endpoint.answer, tuple) else (endpoint.answer,)
    fields = dict.fromkeys(
        field.encode_name
        for kind in kinds
        if hasattr(getattr(kind, "__origin__", kind), "__struct_fields__")
        for field in msgspec.structs.fields(kind)
    )
    return f" {', '.join(fields)}" if fields else ""


def main() -> None:
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
