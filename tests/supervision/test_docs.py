"""The examples of docs/supervision.md are programs, and they run."""

from __future__ import annotations

import re

import pytest

from tests import ROOT

PAGE = (ROOT / "docs" / "supervision.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.splitlines()[0])
def test_an_example_runs(example):
    exec(compile(example, "docs/supervision.md", "exec"), {"__name__": "example"})


def test_the_first_is_about_thirty_lines():
    assert len(EXAMPLES[0].splitlines()) <= 35
