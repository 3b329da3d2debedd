"""Formats and encodings that clients ask for; the client library's own choice is the second opinion."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, gzip_accepted
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST

from kmodmon.web.negotiate import AcceptedFormat, choose_format, gzip_wanted

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
PROTOBUF_FIRST = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", AcceptedFormat.TEXT),
        (PROMETHEUS_2_42, AcceptedFormat.OPENMETRICS_1_0_0),
        (PROMETHEUS_3, AcceptedFormat.OPENMETRICS_1_0_0),
        (BROWSER, AcceptedFormat.TEXT),
        (PROTOBUF_FIRST, AcceptedFormat.TEXT),
        ("*/*", AcceptedFormat.TEXT),
        ("text/*", AcceptedFormat.TEXT),
        ("application/openmetrics-text", AcceptedFormat.OPENMETRICS_1_0_0),
        (
            "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            AcceptedFormat.OPENMETRICS_0_0_1,
        ),
        (
            "application/openmetrics-text;version=0.0.1;q=0.9, application/openmetrics-text;version=1.0.0",
            AcceptedFormat.OPENMETRICS_1_0_0,
        ),
        ("application/openmetrics-text;q=0.4,text/plain;q=0.6", AcceptedFormat.TEXT),
        ("application/openmetrics-text;q=0", AcceptedFormat.TEXT),
        ("application/openmetrics-text;q=0,*/*", AcceptedFormat.TEXT),
        ("text/plain;q=0,application/openmetrics-text;q=0.001", AcceptedFormat.OPENMETRICS_1_0_0),
        ("*/*, application/openmetrics-text", AcceptedFormat.OPENMETRICS_1_0_0),
        ('APPLICATION/OpenMetrics-Text ; Version="1.0.0" ; Q=1', AcceptedFormat.OPENMETRICS_1_0_0),
        ("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", AcceptedFormat.TEXT),
        ("application/openmetrics-text;version=1\r\nx: y", AcceptedFormat.TEXT),
        ("application/openmetrics-text;q=nan", AcceptedFormat.TEXT),
        ("application/openmetrics-text;q=1e1", AcceptedFormat.TEXT),
        ("application/openmetrics-text;q=-1", AcceptedFormat.TEXT),
        ("application/openmetrics-text;q=1.5", AcceptedFormat.TEXT),
        (",;,;q=,", AcceptedFormat.TEXT),
    ],
)
def test_choose_format_when_accept_is_this_gives_that(accept: str, expected: AcceptedFormat) -> None:
    assert choose_format(accept) is expected


@pytest.mark.parametrize("accept", [PROMETHEUS_2_42, BROWSER, "", "*/*", "application/openmetrics-text;version=1.0.0"])
def test_choose_format_when_weights_do_not_matter_agrees_with_the_client_library(accept: str) -> None:
    ours = choose_format(accept)
    theirs = choose_encoder(accept)[1]
    assert ours.value == theirs.partition("; escaping=")[0]


def test_formats_have_the_client_librarys_content_types() -> None:
    assert AcceptedFormat.TEXT.value == CONTENT_TYPE_PLAIN_0_0_4
    assert AcceptedFormat.OPENMETRICS_1_0_0.value == CONTENT_TYPE_LATEST
    assert [form.openmetrics for form in AcceptedFormat] == [False, True, True]


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0, *;q=1", False),
        ("gzip;q=0.000", False),
        ("identity", False),
        ("identity;q=1, gzip;q=0.5", False),
        ("identity;q=0.5, gzip;q=0.5", True),
        ("br, zstd", False),
        ("gzip;q=abc", False),
        ("gzip ; q = 0.3", True),
    ],
)
def test_gzip_wanted_when_accept_encoding_is_this_gives_that(accept_encoding: str, expected: bool) -> None:
    assert gzip_wanted(accept_encoding) is expected


@settings(deadline=None)
@given(st.lists(st.sampled_from(["gzip", "br", "deflate", "zstd", "compress"])))
def test_gzip_wanted_without_weights_agrees_with_the_client_library(codings: list[str]) -> None:
    header = ", ".join(codings)
    assert gzip_wanted(header) == gzip_accepted(header)


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from('aegipqtxz/*;=,. "01.\t-\u00ff'), max_size=200) | st.text(max_size=100))
def test_negotiation_survives_any_header(header: str) -> None:
    assert choose_format(header) in AcceptedFormat
    assert gzip_wanted(header) in (True, False)


WEIGHTS = st.integers(0, 1000)


@settings(deadline=None)
@given(openmetrics=WEIGHTS, text=WEIGHTS, swapped=st.booleans(), spaced=st.booleans())
def test_choose_format_when_both_are_named_takes_the_heavier_one(
    openmetrics: int, text: int, swapped: bool, spaced: bool
) -> None:
    gap = " " if spaced else ""
    elements = [
        f"application/openmetrics-text;{gap}q={openmetrics / 1000:.3f}",
        f"text/plain;{gap}version=0.0.4;q={text / 1000:.3f}",
    ]
    if swapped:
        elements.reverse()
    chosen = choose_format(f",{gap}".join(elements))
    if openmetrics != text:
        assert chosen.openmetrics == (openmetrics > text)
    elif openmetrics > 0:
        assert chosen.openmetrics != swapped, "equal weights: the one named first"
    else:
        assert chosen is AcceptedFormat.TEXT


@settings(deadline=None)
@given(WEIGHTS, WEIGHTS)
def test_gzip_wanted_when_identity_is_named_too_takes_the_heavier_one(gzip: int, identity: int) -> None:
    header = f"identity;q={identity / 1000:.3f}, gzip;q={gzip / 1000:.3f}"
    assert gzip_wanted(header) == (gzip > 0 and gzip >= identity)


def test_headers_with_very_many_elements_are_read_to_a_bound() -> None:
    assert choose_format("x/y," * 100_000 + "application/openmetrics-text") is AcceptedFormat.TEXT
