from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry.formats.pypi.status import ACTIVE, Status, offering, shown
from registry.lookups import Serials
from registry.standings import STATUSES

one = st.tuples(st.sampled_from(STATUSES), st.none() | st.text(max_size=5))
several = st.lists(one, max_size=5).map(
    lambda drawn: Serials(
        tuple((number, 1) for number in range(len(drawn))),
        exists=True,
        statuses=tuple((number, *status) for number, status in enumerate(drawn)),
    )
)


@given(several)
def test_what_offers_files_decides_the_status_before_what_does_not(serials: Serials) -> None:
    offered, status = offering(serials), shown(serials)

    quarantined = {project for project, status, _ in serials.statuses if status == "quarantined"}
    assert [project for project, _ in serials.pairs if project not in quarantined] == offered
    assert (status.status == "quarantined") == bool(serials.pairs and not offered)
    assert status in {Status(*marks[1:]) for marks in serials.statuses} | ({ACTIVE} if not serials.pairs else set())
    assert any(marks[1] == "active" for marks in serials.statuses) <= (status.status == "active")


def test_without_a_word_about_it_a_name_is_active_everywhere() -> None:
    serials = Serials(((1, 4), (2, 7)), exists=True)

    assert (ACTIVE, [1, 2]) == (shown(serials), offering(serials))
    assert {"status": "active"} == ACTIVE.json
    assert {"status": "archived", "reason": "x"} == Status("archived", "x").json
