"""Whether a command with an Idempotency-Key may be given."""

from __future__ import annotations

import pytest

from godkaiser.domain.idempotency import KEPT_S, Kept, earlier_answer
from godkaiser.errors.requests import KeyInDoubt, KeyInUse, KeyReused

NOW = 1.7e9
BEGUN = Kept(b"digest", NOW, attempt="a")
AGAIN = Kept(b"digest", NOW + 5.0, attempt="b")
ANSWERED = Kept(b"digest", NOW, (202, b"{}"), attempt="a")


def test_a_key_is_given_once():
    assert earlier_answer(None, BEGUN, is_under_way=False) is None
    assert earlier_answer(ANSWERED, AGAIN, is_under_way=False) == (202, b"{}")
    with pytest.raises(KeyInUse):
        earlier_answer(BEGUN, AGAIN, is_under_way=True)
    with pytest.raises(KeyInDoubt):
        earlier_answer(BEGUN, AGAIN, is_under_way=False)


@pytest.mark.parametrize("kept", [BEGUN, ANSWERED])
def test_a_key_belongs_to_its_request_for_a_day_whatever_the_clock_does(kept):
    with pytest.raises(KeyReused):
        earlier_answer(kept, Kept(b"another", NOW + 5.0), is_under_way=False)
    for later_s in (KEPT_S, -KEPT_S):
        assert earlier_answer(kept, Kept(b"another", NOW + later_s), is_under_way=False) is None
