"""What a client may read: every path in every format, of a host that is full of marked secrets."""

import asyncio
import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import bcrypt
import pytest

from kmodmon.events.cause import Cause, CauseKind
from kmodmon.events.event import Actor, Event, EventDetails, Process, Severity
from kmodmon.events.kinds.daemon import Started
from kmodmon.events.kinds.log import KernelReported
from kmodmon.events.kinds.policy import BaselineDrifted, PolicyViolated
from kmodmon.events.kinds.posture import ParameterChanged, PostureChanged
from kmodmon.events.report import Frame, KernelReport, ReportClass
from kmodmon.kernel.parameter import ParameterKind, ParameterValue, parse_parameter
from kmodmon.lifecycle.inventory import Inventory, Loaded
from kmodmon.state.state import State
from kmodmon.subjects.baseline import Baseline, BaselineState, Drift, DriftKind
from kmodmon.subjects.findings import Finding, Findings
from kmodmon.subjects.hidden import Confidence, HiddenModule, HiddenState
from kmodmon.subjects.parameters import Parameter, ParameterTable
from kmodmon.subjects.posture import Posture, Switches
from kmodmon.subjects.rules import Check
from kmodmon.subjects.taint import TaintEntry, TaintState
from kmodmon.types.detail import Detail
from kmodmon.types.units import Instant, Usec
from kmodmon.web.access import Access
from kmodmon.web.message import Request, Response, Route
from tests.browser.shown import ShownHost
from tests.states import BOOT, module
from tests.web.certificates import Authority
from tests.web.serving import ACCESS, Served

NOW = Instant(realtime_usec=Usec(1_700_000_000_000_000), monotonic_usec=Usec(5_000_000))
TEXT, NUMBER, OLD, NEW, DRIFTED, SIGNED_OFF = "opensesame", 73317331, "swordfish", "mellon", "hushhush", "xyzzyxyzzy"
ARGUMENT, PROGRAM, PARENT, REQUESTER = "psk=tellnobody", "/root/secret-tool", "--parent-secret", "--requester-secret"
KFENCE = 86420135
ADDRESS, REGISTER, POINTER, CODE = "ffffffffc0dec0de", "00000000deadbeef", "ffff888badc0ffee", "5c c0 e8 0b ad"
MARKS = (
    TEXT, str(NUMBER), OLD, NEW, DRIFTED, SIGNED_OFF, ARGUMENT, PROGRAM, PARENT, REQUESTER, str(KFENCE), ADDRESS,
    REGISTER, POINTER, CODE,
)  # fmt: skip
ACTOR = Actor(
    process=Process(pid=811, comm="insmod", exe=PROGRAM, cmdline=("insmod", "x.ko", ARGUMENT)),
    uid=0,
    parents=(Process(pid=810, comm="sh", exe="/bin/sh", cmdline=("sh", PARENT)),),
    requester=Actor(process=Process(pid=809, comm="mount", cmdline=("mount", REQUESTER)), uid=0),
)
LINES = (
    f"BUG: unable to handle page fault for address: {ADDRESS}",
    "RIP: 0010:nv_open+0x4a/0x80 [nvidia]",
    f"RAX: {REGISTER} RBX: {POINTER}",
    f"Code: 48 c7 {CODE} 00 <c7> 04",
)
REPORT = KernelReport(
    report_class=ReportClass.OOPS, signature="page_fault", title="page fault in nv_open", severity=Severity.CRITICAL,
    fingerprint="0123456789abcdef", first_line=1, last_line=9, module="nvidia", function="nv_open", offset=74,
    frames=(Frame(function="nv_open", module="nvidia"), Frame(function=f"0x{ADDRESS}")), evidence=LINES,
)  # fmt: skip
QUERIES = {
    "/api/v1/modules/": ("hello",),
    "/api/v1/parameters": ("", "?module=hello"),
    "/api/v1/events": ("", "?order=newest&limit=1000", "?type=ParameterChanged,KernelReport", "?module=hello"),
}
FORMATS: tuple[dict[str, str], ...] = (
    {},
    {"accept": "application/openmetrics-text; version=1.0.0"},
    {"accept-encoding": "gzip"},
    {"accept-encoding": "gzip", "accept": "application/openmetrics-text"},
)


def parameter(text: str, mode: int) -> Parameter:
    return Parameter(value=parse_parameter(text.encode()), mode=mode)


def state() -> State:
    parameters = {
        "hello": {
            "text": parameter(TEXT, 0o600), "number": parameter(str(NUMBER), 0o400),
            "drifted": parameter(DRIFTED, 0o640), "open": parameter("public-text", 0o644),
            "level": parameter("5", 0o444),
            "unknown": Parameter(value=ParameterValue(kind=ParameterKind.TEXT, text=TEXT), mode=None),
        },
        "kfence": {"sample_interval": parameter(str(KFENCE), 0o600)},
    }  # fmt: skip
    drift = Drift(kind=DriftKind.PARAMETER, name="hello.drifted", expected=SIGNED_OFF, actual=DRIFTED, module="hello")
    findings = (
        Finding(rule="baseline", check=Check.DRIFT, severity=Severity.WARNING, subject=drift.id,
                evidence=(drift.sentence,)),
        Finding(rule="kfence", check=Check.POSTURE, severity=Severity.WARNING, subject="kfence_sample_interval",
                evidence=(f"kfence_sample_interval={KFENCE}",)),
        Finding(rule="log", check=Check.TAINT, severity=Severity.ERROR, subject="die", evidence=LINES),
    )  # fmt: skip
    entry = TaintEntry(
        bit=7, since=NOW, cause=Cause(CauseKind.REPORT, "page_fault"), module="nvidia", actor=ACTOR, evidence=LINES
    )
    hidden = HiddenModule(
        module="ghost", since=NOW, missing_from=("list",), seen_in=("sysfs",), confidence=Confidence.CERTAIN,
        evidence=(f"an area at 0x{ADDRESS} is nobody's",),
    )  # fmt: skip
    return State(
        boot_id=BOOT,
        started=NOW,
        parameters=ParameterTable(
            parameters=MappingProxyType({name: MappingProxyType(of) for name, of in parameters.items()}), read=True
        ),
        inventory=Inventory(
            support=True,
            modules=MappingProxyType({"hello": module("hello")}),
            loaded=MappingProxyType({"hello": Loaded(before_start=False, at=NOW, actor=ACTOR)}),
        ),
        taint=TaintState(value=1 << 7, ledger=MappingProxyType({7: entry})),
        hidden=HiddenState(findings=MappingProxyType({"ghost": hidden})),
        posture=Posture(
            switches=Switches(settings=MappingProxyType({"kfence_sample_interval": KFENCE, "kptr_restrict": 1})),
            facts=MappingProxyType({"kfence_sample_interval": KFENCE}),
        ),
        findings=Findings(current=MappingProxyType({finding.id: finding for finding in findings}), judged=True),
        baseline=BaselineState(baseline=Baseline(), path="/etc/kmodmon/baseline.toml", drift=(drift,), judged=True),
    )


def events() -> Iterator[Event]:
    def event(details: EventDetails, module_name: str | None = None, *evidence: str) -> Event:
        return Event(details=details, at=NOW, module=module_name, actor=ACTOR, evidence=evidence)

    yield event(Started())
    yield event(KernelReported(report=REPORT), "nvidia", *LINES)
    yield event(ParameterChanged(parameter="text", old=OLD, new=NEW, redacted=False), "hello")
    yield event(ParameterChanged(parameter="gone", old=OLD, new=NEW, redacted=False), "unloaded")
    yield event(ParameterChanged(parameter="level", old="4", new="five", redacted=False), "hello")
    yield event(
        BaselineDrifted(drift="parameter", name="hello.drifted", expected=SIGNED_OFF, actual=DRIFTED),
        "hello",
        f"hello.drifted is {DRIFTED}, and {SIGNED_OFF} was signed off",
    )
    yield event(PostureChanged(setting="kfence_sample_interval", old=100, new=KFENCE, direction="changed"))
    yield event(
        PolicyViolated(rule="r", check="posture", finding="f", subject="kfence_sample_interval", reason=""),
        None,
        f"kfence_sample_interval={KFENCE}",
    )


def crawl(routes: tuple[Route, ...], detail: Detail) -> dict[str, str]:
    """Every path with its queries, in every format."""

    async def body(route: Route, query: str, headers: dict[str, str]) -> str:
        tail, _, query_string = query.partition("?")
        request = Request(
            method="GET", path=route.path + tail, tail=tail, query_string=query_string.encode(), headers=headers,
            detail=detail,
        )  # fmt: skip
        answer = route.handler(request)
        response = answer if isinstance(answer, Response) else await answer
        assert response.status == 200
        raw = b"".join(response.blocks)
        shown = gzip.decompress(raw) if dict(response.headers).get("Content-Encoding", "").lower() == "gzip" else raw
        if shown[:2] == b"\x1f\x8b":
            shown = gzip.decompress(shown)
        return "\n".join((shown.decode(), *(f"{name}: {value}" for name, value in response.headers)))

    async def work() -> dict[str, str]:
        return {
            f"{route.path}{query} {headers}": await body(route, query, headers)
            for route in routes
            for query in QUERIES.get(route.path, ("",))
            for headers in FORMATS
        }

    return asyncio.run(work())


def test_crawler_when_the_host_is_full_of_secrets_then_it_finds_none_at_public_and_each_at_full_detail() -> None:
    routes = ShownHost(state(), events()).routes()
    for _ in range(2):  # what was cached for one detail is not given to the other
        full = crawl(routes, Detail.FULL)
        public = crawl(routes, Detail.PUBLIC)
        assert {mark for mark in MARKS if not any(mark in body for body in full.values())} == set()
        assert [(mark, path) for mark in MARKS for path, body in public.items() if mark in body] == []
    assert any("public-text" in body for body in public.values())
    assert any("nv_open+0x4a/0x80" in body for path, body in public.items() if path.startswith("/api/v1/reports"))
    assert any("insmod[811] (uid 0)" in body for path, body in public.items() if path.startswith("/ "))


def test_parameters_when_public_then_a_hidden_value_has_its_reason_and_is_counted() -> None:
    public = crawl(ShownHost(state(), ()).routes(), Detail.PUBLIC)
    rows = json.loads(public["/api/v1/parameters?module=hello {}"].partition("\n")[0])
    assert {row["parameter"]: (row["value"], row["why"]) for row in rows} == {
        "text": (None, "root only"), "number": (None, "root only"), "drifted": (None, "root only"),
        "open": ("public-text", None), "level": ("5", None), "unknown": (None, "root only"),
    }  # fmt: skip
    metrics = public["/metrics {}"].splitlines()
    assert "kmodmon_module_parameters_hidden 5.0" in metrics
    assert [line for line in metrics if line.startswith("kmodmon_module_parameter{")] == [
        'kmodmon_module_parameter{module="hello",parameter="level"} 5.0'
    ]
    full = crawl(ShownHost(state(), ()).routes(), Detail.FULL)["/metrics {}"].splitlines()
    assert "kmodmon_module_parameters_hidden 0.0" in full


def test_events_when_public_then_hashes_that_would_confirm_a_guess_are_null() -> None:
    public = crawl(ShownHost(state(), events()).routes(), Detail.PUBLIC)["/api/v1/events {}"]
    rows = json.loads(public.partition("\n")[0])
    assert {(row["hash"], row["prev_hash"]) for row in rows} == {(None, None)}
    changes = [row["fields"] for row in rows if row["type"] == "ParameterChanged"]
    assert [(fields["old"], fields["new"]) for fields in changes] == [("<root only>", "<root only>")] * 2 + [
        ("4", "five")
    ]
    (report,) = (row for row in rows if row["type"] == "KernelReport")
    assert report["fields"]["fingerprint"] == REPORT.fingerprint


def test_page_when_a_parameter_becomes_public_then_its_old_events_are_rendered_anew() -> None:
    host = ShownHost(state(), events())
    routes = host.routes()
    assert OLD not in crawl(routes, Detail.PUBLIC)["/ {}"]
    table = host.state.parameters
    hello = {**table.parameters["hello"], "text": parameter(TEXT, 0o644)}
    host.state = replace(
        host.state, parameters=replace(table, parameters=MappingProxyType({**table.parameters, "hello": hello}))
    )
    assert OLD in crawl(routes, Detail.PUBLIC)["/ {}"]


# who gets which detail


def shows_secrets(served: Served, **how: object) -> bool:
    answer = served.get("/api/v1/parameters", **how)  # type: ignore[arg-type]  # as given
    assert answer.status == 200
    return TEXT in answer.body.decode()


def test_detail_when_nobody_has_proved_who_he_is_then_the_setting_decides() -> None:
    routes = ShownHost(state()).routes()
    with Served(routes=routes) as served:
        assert not shows_secrets(served)
        served.server.set_access(replace(ACCESS, detail=Detail.FULL))
        assert shows_secrets(served)


def test_detail_when_a_user_has_given_his_password_then_full(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(f"basic_auth_users: {{alice: '{bcrypt.hashpw(b'wonderland', bcrypt.gensalt(4)).decode()}'}}\n")
    basic = {"Authorization": "Basic " + base64.b64encode(b"alice:wonderland").decode()}
    with Served(routes=ShownHost(state()).routes(), web_config=file) as served:
        assert served.get("/api/v1/parameters").status == 401
        assert shows_secrets(served, headers=basic)


@pytest.mark.parametrize(
    ("client_auth", "shown"), [("", False), ("VerifyClientCertIfGiven", True), ("RequireAndVerifyClientCert", True)]
)
def test_detail_when_a_certificate_is_verified_then_full(tmp_path: Path, client_auth: str, shown: bool) -> None:
    authority = Authority(tmp_path)
    authority.issue("alice")
    tls = f"client_auth_type: {client_auth}\nclient_ca_file: ca.pem\n" if client_auth else ""
    with Served(routes=ShownHost(state()).routes(), web_config=authority.web_config(tls=tls)) as served:
        assert shows_secrets(served, tls=authority.client("alice")) is shown
        if client_auth != "RequireAndVerifyClientCert":
            assert not shows_secrets(served, tls=authority.client())


def test_access_when_it_is_the_default_then_public() -> None:
    assert Access().detail is Detail.PUBLIC
