"""Requests, responses and the routing table."""

import json
from urllib.parse import parse_qs, quote, quote_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodmon.types.text import raw_bytes, safe_text
from kmodmon.web.message import (
    MAX_ARGUMENTS,
    BadRequest,
    Request,
    Response,
    Route,
    Routes,
    decode_tail,
    json_response,
    text_response,
)


def ask(query: bytes = b"", path: str = "/") -> Request:
    return Request(method="GET", path=path, query_string=query, headers={"accept": "x"})


def route(path: str, prefix: bool = False) -> Route:
    return Route(path=path, prefix=prefix, handler=lambda request: text_response(path))


ROUTES = Routes((route("/"), route("/a"), route("/a/", True), route("/a/b/", True), route("/a/exact")))


@pytest.mark.parametrize(
    ("path", "route_path", "tail"),
    [
        ("/", "/", ""),
        ("/a", "/a", ""),
        ("/a/x", "/a/", "x"),
        ("/a/exact", "/a/exact", ""),
        ("/a/b/c/d", "/a/b/", "c/d"),
        ("/a/b/", "/a/", "b/"),
        ("/a/%2e%2e%2Fetc", "/a/", "../etc"),
        ("/a/x%0ay%FF%zz", "/a/", "x\\x0ay\\xff%zz"),
    ],
)
def test_find_when_a_route_fits_gives_it_and_the_decoded_rest(path: str, route_path: str, tail: str) -> None:
    hit = ROUTES.find(path)
    assert hit is not None
    assert (hit[0].path, hit[1]) == (route_path, tail)


@pytest.mark.parametrize("path", ["", "//", "/b", "/a/", "/A", "a", "/%61", "/../a", "*"])
def test_find_when_no_route_fits_gives_none(path: str) -> None:
    assert ROUTES.find(path) is None


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=60))
def test_decode_tail_when_a_name_is_any_bytes_gives_the_models_text_for_it(name: bytes) -> None:
    assert decode_tail(quote_from_bytes(name, safe="")) == safe_text(name)
    assert raw_bytes(decode_tail(quote_from_bytes(name, safe=""))) == name


@settings(deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_query_when_a_value_is_any_bytes_gives_the_models_text_for_it(name: bytes, value: bytes) -> None:
    query = f"{quote_from_bytes(name, safe='')}={quote_from_bytes(value, safe='')}".encode()
    assert ask(query).query() == {safe_text(name): (safe_text(value),)}


@settings(deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.lists(st.text(max_size=8), min_size=1, max_size=3), max_size=5)
)
def test_query_when_it_is_plain_text_agrees_with_the_standard_library(given_query: dict[str, list[str]]) -> None:
    query = "&".join(f"{quote(name)}={quote(value)}" for name, values in given_query.items() for value in values)
    theirs = parse_qs(query, keep_blank_values=True)
    expected = {safe_text(n.encode()): tuple(safe_text(v.encode()) for v in values) for n, values in theirs.items()}
    assert ask(query.encode()).query() == expected


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_query_when_it_is_any_bytes_gives_text_or_bad_request(raw: bytes) -> None:
    try:
        values = ask(raw).query()
    except BadRequest:
        assert raw.count(b"&") >= MAX_ARGUMENTS
        return
    assert all(text.isprintable() for texts in values.values() for text in texts)


def test_query_when_it_has_too_many_arguments_is_a_bad_request() -> None:
    assert len(ask(b"&".join(b"a%d=1" % number for number in range(MAX_ARGUMENTS))).query()) == MAX_ARGUMENTS
    with pytest.raises(BadRequest, match="more than 64"):
        ask(b"&".join(b"a=1" for _ in range(MAX_ARGUMENTS + 1))).query()


def test_responses_say_what_they_hold() -> None:
    assert Response(body=(b"a", b"b")).blocks == (b"a", b"b")
    assert Response(body=b"ab").blocks == (b"ab",)
    assert text_response("ü", 404).body == "ü\n".encode()
    answer = json_response({"name": 'é"<\\x00', "n": 1})
    assert answer.content_type == "application/json"
    assert json.loads(b"".join(answer.blocks)) == {"name": 'é"<\\x00', "n": 1}


def test_header_when_it_was_not_sent_is_empty() -> None:
    assert ask().header("accept") == "x"
    assert ask().header("range") == ""
