"""The JSON API on a daemon of a recorded host: every path, every argument, what is refused and how."""

import http.client
import json
import re
from pathlib import Path

import pytest

from kmodmon.events.kinds.daemon import Started
from kmodmon.events.kinds.module import ModuleLoaded
from kmodmon.events.kinds.taint import TaintAdded
from kmodmon.metrics.exposition import Exposition
from kmodmon.types.error import KmodmonError
from kmodmon.web.message import BadRequest, Request, Response, Route, json_response
from kmodmon.web.site import MAX_EVENTS, Site, event_query
from tests.runtime.test_reload import Running, run
from tests.web.serving import Served


def asked(query: str) -> Request:
    return Request(method="GET", path="/api/v1/events", query_string=query.encode(), headers={})


@pytest.mark.parametrize(
    ("text", "usec"),
    [
        ("0", 0),
        ("1790000000", 1790000000_000000),
        ("1790000000.25", 1790000000_250000),
        ("1970-01-01T00:00:01Z", 1_000000),
        ("1970-01-01T01:00:01%2B01:00", 1_000000),
        ("1970-01-01T01:00:01+01:00", 1_000000),
        ("1970-01-02", 86400_000000),
    ],
)
def test_events_when_asked_since_a_moment_then_it_is_that_moment(text: str, usec: int) -> None:
    assert event_query(asked(f"since={text}")).since_usec == usec
    assert event_query(asked(f"until={text}")).until_usec == usec


@pytest.mark.parametrize(
    "query",
    ["since=yesterday", "since=-1", "since=nan", "since=inf", "since=9e99", "limit=-1", "limit=x", "limit=1e3",
     "since=1_0", "since=%D9%A3", "since=1e3", "since=+1", "since=0x1", "since=.5", "limit=1_0", "limit=%D9%A3",
     "limit=", "after=%EF%BC%93", "after=" + "9" * 40, "type=Nope", "type=",
     "since=0001-01-01", "order=up", "colour=red"],
)  # fmt: skip
def test_events_when_asked_something_else_then_refused(query: str) -> None:
    with pytest.raises(BadRequest):
        event_query(asked(query))


def test_events_when_asked_with_every_argument_then_the_query_has_them() -> None:
    query = event_query(asked("type=ModuleLoaded,TaintAdded&module=a%20b&after=7&limit=99999&order=newest"))
    assert query.types == (ModuleLoaded.kind.type, TaintAdded.kind.type)
    assert (query.module, query.after_id, query.limit, query.newest_first) == ("a b", 7, MAX_EVENTS, True)


def test_events_when_a_type_is_repeated_then_it_is_asked_for_once() -> None:
    assert event_query(asked("type=" + ",".join(["Started", "ModuleLoaded"] * 200))).types == (
        Started.kind.type,
        ModuleLoaded.kind.type,
    )


def test_api_when_served_then_every_path_of_the_contract_answers(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        await running.shows("/api/v1/events", "PolicyViolated")
        answers = {}
        for name in ("status", "modules", "modules/loop", "parameters", "events", "reports", "sources", "findings"):
            answers[name] = json.loads(await running.get(f"/api/v1/{name}"))
        assert answers["modules/loop"]["name"] == "loop" and answers["reports"] == []
        assert {"loop", "hello_unsigned"} <= {module["name"] for module in answers["modules"]}
        assert answers["status"]["taint"]["letters"] == "PCOEKN"
        first = answers["events"][0]
        assert list(first) == ["id", "boot_id", "realtime", "monotonic", "type", "severity", "module", "actor",
                               "evidence", "fields", "prev_hash", "hash"]  # fmt: skip
        later = json.loads(await running.get(f"/api/v1/events?after={first['id']}&limit=1"))
        assert [event["id"] for event in later] == [first["id"] + 1]
        assert (later[0]["prev_hash"], first["hash"]) == (None, None)
        running.write('[web]\ndetail = "full"\nlisten = ["127.0.0.1:0"]')
        await running.shows("/api/v1/events?limit=1", '"hash":null', gone=True)
        first, second = json.loads(await running.get("/api/v1/events?limit=2"))
        assert second["prev_hash"] == first["hash"] != ""

    run(tmp_path, work)


def test_http_page_when_it_lists_paths_then_they_are_those_that_are_served(tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent.parent / "docs/http.md").read_text()
    section = text.partition("## HTTP\n")[2].partition("\n## ")[0]
    listed = {
        path for row in re.findall(r"^\| (`/.*?`) \|", section, re.MULTILINE) for path in re.findall("`(.*?)`", row)
    }
    arguments = set(re.findall(r"`(\w+)=", section.partition("/api/v1/events")[2].partition("\n")[0]))
    values = {"type": "ModuleLoaded", "order": "newest"}
    event_query(asked("&".join(f"{name}={values.get(name, '7')}" for name in arguments)))

    async def work(running: Running) -> None:
        for path in listed:
            await running.get(path.replace("NAME", "loop"))
        served = {route.path for route in Site(running.daemon, Exposition(())).routes()}
        assert listed == {f"{path}NAME" if path.endswith("modules/") else path for path in served
                          if not path.startswith("/static/")}  # fmt: skip

    run(tmp_path, work)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_api_when_asked_to_change_something_then_405_in_json(method: str) -> None:
    with Served() as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        connection.request(method, "/api/v1/status")
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("allow")) == (405, "GET, HEAD")
        assert "error" in json.loads(answer.read())
        connection.close()


def test_api_when_the_history_cannot_be_read_then_503_says_what_to_do() -> None:
    def fails(request: Request) -> Response:
        raise KmodmonError("history /x: damaged; kmodmon run moves it aside")

    with Served(routes=(Route(path="/api/v1/events", handler=fails),)) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        connection.request("GET", "/api/v1/events")
        answer = connection.getresponse()
        assert answer.status == 503
        assert json.loads(answer.read()) == {"error": "history /x: damaged; kmodmon run moves it aside"}
        connection.close()


def test_json_when_a_text_holds_half_a_surrogate_pair_then_it_is_json_still() -> None:
    (body,) = json_response({"why": "/sys/module/\udcff"}).blocks
    assert json.loads(body) == {"why": "/sys/module/\udcff"}
