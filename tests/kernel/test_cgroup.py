"""Paths of cgroups as systemd, Docker, containerd, CRI-O, Podman and LXC make them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.cgroup import parse_cgroup

ID = "3f4c" * 16
POD = "kubepods-besteffort-pod2c48_7a.slice"


@pytest.mark.parametrize(
    ("path", "unit", "container"),
    [
        ("/system.slice/ssh.service", "ssh.service", None),
        ("/user.slice/user-0.slice/session-3.scope", "session-3.scope", None),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/foot.service", "foot.service", None),
        ("/user.slice", "user.slice", None),
        ("/", None, None),
        (f"/system.slice/docker-{ID}.scope", f"docker-{ID}.scope", ID),
        (f"/docker/{ID}", None, ID),
        (f"/kubepods.slice/{POD}/cri-containerd-{ID}.scope", f"cri-containerd-{ID}.scope", ID),
        (f"/machine.slice/libpod-{ID}.scope/container", f"libpod-{ID}.scope", ID),
        (f"/kubepods/burstable/pod2c48/{ID}", None, ID),
        ("/lxc.payload.web/system.slice/nginx.service", "nginx.service", "web"),
        ("/lxc/web", None, "web"),
    ],
)
def test_parse_cgroup_when_v2_then_unit_and_container(path: str, unit: str | None, container: str | None) -> None:
    found = parse_cgroup(f"0::{path}\n".encode())
    assert found is not None
    assert (found.path, found.unit, found.container) == (path, unit, container)


def test_parse_cgroup_when_hybrid_then_systemds_tree_names_the_unit() -> None:
    raw = b"12:memory:/\n1:name=systemd:/system.slice/cron.service\n0::/\n"
    found = parse_cgroup(raw)
    assert found is not None and found.unit == "cron.service"


def test_parse_cgroup_when_v1_docker_then_the_container() -> None:
    raw = f"11:devices:/docker/{ID}\n1:name=systemd:/docker/{ID}\n".encode()
    found = parse_cgroup(raw)
    assert found is not None and found.container == ID


def test_parse_cgroup_when_deleted_then_the_path_without_the_remark() -> None:
    found = parse_cgroup(b"0::/system.slice/x.service (deleted)\n")
    assert found is not None and found.path == "/system.slice/x.service"


def test_parse_cgroup_when_no_line_then_none() -> None:
    assert parse_cgroup(b"") is None


@given(st.binary() | st.lists(st.binary(max_size=30)).map(lambda parts: b":".join([b"0", b"", *parts])))
def test_parse_cgroup_when_any_bytes_then_printable(raw: bytes) -> None:
    found = parse_cgroup(raw)
    assert found is None or found.path.isprintable()
