"""What is generated and committed is what the declarations give now."""

import pytest

from grafana.src.generate import FILES, ROOT


@pytest.mark.parametrize("name", sorted(FILES))
def test_file_when_made_anew_then_it_is_the_committed_one(name: str) -> None:
    assert (ROOT / name).read_text() == FILES[name](), f"{name} is stale: run `make generate`"
