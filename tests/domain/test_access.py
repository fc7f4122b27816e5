"""The grace of a refresh token that was just used."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from godkaiser.domain.access import GRACE_S, Access, Login, read_again, renewed


def login(jti, **more):
    return Login("f", "olga", jti, 1e9, **more)


class LoginMachine(RuleBasedStateMachine):
    """Any of the refresh tokens of one login is used at any time, again and again, also by a thief."""

    def __init__(self):
        super().__init__()
        self.now = 1000.0
        self.given = ["j0"]
        self.renewed_at = float("-inf")
        self.known = login("j0")

    @precondition(lambda self: self.known is not None)
    @rule(age=st.integers(0, 3))
    def use(self, age):
        """`age` 0: the newest."""
        if age >= len(self.given):
            return
        before, used = self.known, self.given[-1 - age]
        after = renewed(before, used, login(f"j{len(self.given)}"), self.now)
        if age == 0:
            assert after.current_jti == f"j{len(self.given)}"
            self.given.append(after.current_jti)
            self.renewed_at = self.now
        elif age == 1 and self.now - self.renewed_at < GRACE_S:
            assert after is before, "the same successor, and nothing to be stored"
        else:
            assert after is None, "the login is ended"
        self.known = after

    @rule(seconds=st.sampled_from([0.0, 0.1, 5.0, 9.9, 10.0, 10.1, 3600.0]))
    def pass_time(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.known is not None)
    @rule()
    def crash(self):
        """What is stored knows no grace; what was published does."""
        stored = msgspec.structs.replace(self.known, previous_jti="", renewed_at=0.0)
        before = Access(logins={"f": self.known})
        self.known = read_again(before, Access(logins={"f": stored}), self.now).logins["f"]

    @invariant()
    def is_the_newest(self):
        assert self.known is None or self.known.current_jti == self.given[-1]


TestLogin = LoginMachine.TestCase


@given(age_s=st.floats(0.0, 2 * GRACE_S))
def test_a_renewal_that_was_stored_and_not_published_has_its_grace_from_when_it_is_seen(age_s):
    before = Access(version=4, logins={"f": login("one", previous_jti="zero", renewed_at=900.0)})
    found = Access(version=5, logins={"f": login("two"), "g": login("other")})
    read = read_again(before, found, 1000.0)
    assert (read.version, set(read.logins)) == (5, {"f", "g"})
    known = read.logins["f"]
    is_good = renewed(known, "one", login("three"), 1000.0 + age_s) is not None
    assert is_good == (age_s < GRACE_S)
    assert renewed(known, "zero", login("three"), 1000.0) is None
    assert renewed(read.logins["g"], "", login("three"), 1000.0) is None, "none was before it"


def test_a_login_that_was_never_renewed_has_no_token_before_its_first():
    """Also just after the boot of the machine, when the monotonic clock is young."""
    assert renewed(login("one"), "", login("two"), 0.0) is None
