"""Passwords: who passes, what it costs, and what is remembered."""

import asyncio
import base64
from collections.abc import Awaitable, Callable

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodmon.web import auth
from kmodmon.web.auth import AuthCache, Authenticator, AuthVerdict, credentials, matches


def hashed(password: bytes, prefix: bytes = b"2b") -> str:
    computed = bcrypt.hashpw(password[:72], bcrypt.gensalt(4))
    return computed.replace(b"$2b$", b"$" + prefix + b"$", 1).decode()


def basic(user: str, password: bytes) -> str:
    return "Basic " + base64.b64encode(user.encode() + b":" + password).decode()


USERS = {"alice": hashed(b"wonderland"), "bob": hashed(b"builder", b"2y"), "long": hashed(b"x" * 100)}


def with_authenticator(test: Callable[[Authenticator], Awaitable[None]]) -> None:
    async def run() -> None:
        authenticator = Authenticator()
        try:
            await test(authenticator)
        finally:
            authenticator.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("authorization", "verdict"),
    [
        (basic("alice", b"wonderland"), AuthVerdict.ALLOWED),
        (basic("bob", b"builder"), AuthVerdict.ALLOWED),
        (basic("long", b"x" * 100), AuthVerdict.ALLOWED),
        (basic("long", b"x" * 71), AuthVerdict.REFUSED),
        (basic("alice", b"builder"), AuthVerdict.REFUSED),
        (basic("alice", b""), AuthVerdict.REFUSED),
        (basic("mallory", b"wonderland"), AuthVerdict.REFUSED),
        (basic("", b"wonderland"), AuthVerdict.REFUSED),
        (basic("alice", b"won\0derland"), AuthVerdict.REFUSED),
        (basic("alice", b"w" * 5000), AuthVerdict.REFUSED),
        (basic("alice", b"wonderland").replace("Basic", "bAsIc"), AuthVerdict.ALLOWED),
        (basic("alice", b"wonderland").replace("Basic", "Bearer"), AuthVerdict.REFUSED),
        ("Basic !!!", AuthVerdict.REFUSED),
        ("Basic", AuthVerdict.REFUSED),
        ("", AuthVerdict.REFUSED),
    ],
)
def test_judge_when_these_credentials_come_says_that(authorization: str, verdict: AuthVerdict) -> None:
    async def test(authenticator: Authenticator) -> None:
        for _ in range(2):  # computed, then remembered
            assert await authenticator.check(authorization, USERS) is verdict

    with_authenticator(test)


def test_judge_without_users_lets_everybody_pass() -> None:
    async def test(authenticator: Authenticator) -> None:
        assert await authenticator.check("", {}) is AuthVerdict.ALLOWED

    with_authenticator(test)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The hashes that were really computed with."""
    calls: list[bytes] = []

    def counting(password: bytes, against: bytes) -> bool:
        calls.append(against)
        return matches(password, against)

    monkeypatch.setattr(auth, "matches", counting)
    return calls


def test_judge_when_the_user_is_unknown_computes_as_much_as_for_a_known_one(computed: list[bytes]) -> None:
    costly = {"alice": hashed(b"a"), "admin": bcrypt.hashpw(b"b", bcrypt.gensalt(5)).decode()}

    async def test(authenticator: Authenticator) -> None:
        assert await authenticator.check(basic("mallory", b"b"), costly) is AuthVerdict.REFUSED
        assert await authenticator.check(basic("admin", b"x"), costly) is AuthVerdict.REFUSED

    with_authenticator(test)
    assert computed == [costly["admin"].encode()] * 2


def test_judge_when_a_verdict_is_known_computes_nothing(computed: list[bytes]) -> None:
    async def test(authenticator: Authenticator) -> None:
        for password in (b"wonderland", b"wrong"):
            await asyncio.gather(*(authenticator.check(basic("alice", password), USERS) for _ in range(20)))

    with_authenticator(test)
    assert len(computed) == 2


def test_judge_when_a_hash_changes_forgets_the_old_password(computed: list[bytes]) -> None:
    async def test(authenticator: Authenticator) -> None:
        assert await authenticator.check(basic("alice", b"wonderland"), USERS) is AuthVerdict.ALLOWED
        changed = {"alice": hashed(b"new")}
        assert await authenticator.check(basic("alice", b"wonderland"), changed) is AuthVerdict.REFUSED
        assert await authenticator.check(basic("alice", b"new"), changed) is AuthVerdict.ALLOWED

    with_authenticator(test)
    assert len(computed) == 3


def test_judge_when_too_many_wait_says_busy_but_lets_known_ones_pass() -> None:
    async def test(authenticator: Authenticator) -> None:
        allowed = basic("alice", b"wonderland")
        assert await authenticator.check(allowed, USERS) is AuthVerdict.ALLOWED
        passwords = [b"%d" % number for number in range(auth.MAX_WAITING + 5)]
        guesses = [asyncio.create_task(authenticator.check(basic("alice", guess), USERS)) for guess in passwords]
        await asyncio.sleep(0)
        assert await authenticator.check(allowed, USERS) is AuthVerdict.ALLOWED
        verdicts = await asyncio.gather(*guesses)
        assert verdicts.count(AuthVerdict.BUSY) == 5
        assert verdicts.count(AuthVerdict.REFUSED) == auth.MAX_WAITING
        assert await authenticator.check(basic("bob", b"builder"), USERS) is AuthVerdict.ALLOWED

    with_authenticator(test)


def test_judge_when_a_waiting_client_leaves_makes_its_place_free() -> None:
    async def test(authenticator: Authenticator) -> None:
        for round_number in range(3):
            guesses = [
                asyncio.create_task(authenticator.check(basic("alice", b"%d %d" % (round_number, n)), USERS))
                for n in range(auth.MAX_WAITING)
            ]
            await asyncio.sleep(0)
            for guess in guesses:
                guess.cancel()
            await asyncio.gather(*guesses, return_exceptions=True)
        assert await authenticator.check(basic("alice", b"wonderland"), USERS) is AuthVerdict.ALLOWED

    with_authenticator(test)


def test_judge_when_many_guess_remembers_the_right_one(computed: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(authenticator: Authenticator) -> None:
        assert await authenticator.check(basic("alice", b"wonderland"), USERS) is AuthVerdict.ALLOWED
        for number in range(20):
            await authenticator.check(basic("alice", b"%d" % number), USERS)
        before = len(computed)
        assert await authenticator.check(basic("alice", b"wonderland"), USERS) is AuthVerdict.ALLOWED
        assert len(computed) == before

    monkeypatch.setattr(auth, "CACHED_VERDICTS", 4)
    with_authenticator(test)


def test_verdicts_when_full_forget_the_least_recently_used() -> None:
    verdicts = AuthCache(3)
    for key in (b"a", b"b", b"c"):
        verdicts.add(key)
    assert b"a" in verdicts
    verdicts.add(b"d")
    assert len(verdicts) == 3
    assert [key in verdicts for key in (b"a", b"b", b"c", b"d")] == [True, False, True, True]


@settings(deadline=None)
@given(st.text(max_size=60))
def test_credentials_survive_any_header(text: str) -> None:
    assert credentials(text) is None or isinstance(credentials(text), tuple)


@settings(deadline=None)
@given(user=st.text(max_size=20).filter(lambda user: ":" not in user), password=st.binary(max_size=40))
def test_credentials_give_back_what_was_encoded(user: str, password: bytes) -> None:
    assert credentials(basic(user, password)) == (user, password)


@pytest.mark.parametrize("broken", [b"", b"$2b$04$", b"not a hash", b"$2b$04$" + b"!" * 53])
def test_matches_when_the_hash_is_broken_is_false(broken: bytes) -> None:
    assert matches(b"x", broken) is False
