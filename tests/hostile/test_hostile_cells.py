"""The matrix names every topic, every field and every kind; what is left out has a reason."""

from collections import Counter

import pytest

from hotswap_events.topics import Topics
from hotswap_stream.agents.topics import agent_topic_specs
from hotswap_stream.application.registry.fold import RegistryFold
from tests.hostile.bases import World
from tests.hostile.cells import chosen, matrix
from tests.hostile.file_cells import settings_cells, wrong_with_setting
from tests.hostile.http_cells import DOCUMENT, http_matrix
from tests.hostile.kinds import KINDS
from tests.hostile.places import MODEL, PLACES, WINDOW_MODEL
from tests.hostile.records import record_of
from tests.hostile.run import GROUP_CELLS_MAX, groups
from tools.message_catalogue import MESSAGES

SEEDS = range(20)


def test_every_topic_of_an_environment_is_there() -> None:
    topics = Topics("x")
    models = (*topics.model_specs(MODEL), *topics.windows_specs(WINDOW_MODEL))
    wanted = {spec.name for spec in (*topics.control_specs(), *agent_topic_specs(topics), *models)}
    assert {place.topic(topics) for place in PLACES} == wanted


def test_topics_have_as_many_partitions_as_is_said() -> None:
    topics = Topics("x")
    counts = {spec.name: spec.partitions for spec in (*topics.control_specs(), *agent_topic_specs(topics))}
    for place in PLACES:
        assert place.partitions == counts.get(place.topic(topics), 2), place.name


def test_every_message_of_the_catalogue_is_there() -> None:
    assert {message.name for message in MESSAGES} == {message.name for place in PLACES for message in place.messages}
    assert {cell.message for cell in matrix()} == {message.name for message in MESSAGES} | {""}


def test_every_kind_is_tried_in_every_topic_where_it_can_be() -> None:
    tried = Counter((cell.place, cell.kind) for cell in matrix())
    for place in PLACES:
        missing = {kind for kind in KINDS if not tried[place.name, kind]}
        one_partition = {"wrong partition"} if place.partitions == 1 else set()
        # Whose payload nobody publishes has no numbers and no times of its own.
        assert missing <= one_partition, place.name


def test_cells_have_names_of_their_own() -> None:
    names = Counter(map(str, (*matrix(), *http_matrix(), *settings_cells())))
    assert [name for name, count in names.items() if count > 1] == []


def test_a_cell_changes_its_record_and_nothing_raises() -> None:
    world = World(topics=Topics("x"), fold=RegistryFold())
    for cell in matrix():
        if "12 MB" not in cell.way and "230 MB" not in cell.way:
            record = record_of(cell, world)
            assert record.topic.startswith("x.")
            assert 0 <= record.partition < 4


@pytest.mark.parametrize("seed", SEEDS)
def test_a_selection_has_every_topic_and_three_kinds_of_each(seed: int) -> None:
    found = chosen(seed, per_place=3)
    assert found == chosen(seed, per_place=3)
    for place in PLACES:
        assert len({cell.kind for cell in found if cell.place == place.name}) == 3


def test_groups_hold_each_cell_once_and_costly_ones_alone() -> None:
    found = groups(matrix(), 1)
    assert Counter(str(cell) for group in found for cell in group) == Counter(map(str, matrix()))
    for group in found:
        assert len({cell.place for cell in group}) == 1
        assert len(group) <= (1 if group[0].alone else GROUP_CELLS_MAX)
    assert groups(matrix(), 1) == found
    assert groups(matrix(), 2) != found


def test_every_operation_of_the_api_is_asked() -> None:
    assert DOCUMENT.exists()
    asked = Counter(cell.path for cell in http_matrix())
    assert len(asked) > 50
    assert asked["/api/models/{model_name}/feedback"] > 50


def test_a_setting_is_taken_or_refused_in_words() -> None:
    wrong = {str(cell): found for cell in settings_cells() if (found := wrong_with_setting(cell)) is not None}
    assert wrong == {}
