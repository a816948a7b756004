"""What a watch sees wakes the right ChatModel, and leaves nothing on any object."""

import kopf
import pytest

from chatscale import names
from chatscale.handlers.events import CHILDREN, register, watch_settings
from chatscale.reconcile.snapshot import Key, Revision


class RecordingController:
    def __init__(self) -> None:
        self.heard: list[tuple] = []

    def wake(self, key: Key, revision: Revision | None = None) -> None:
        self.heard.append(("wake", key, revision))


@pytest.fixture
def controller() -> RecordingController:
    return RecordingController()


@pytest.fixture
def handlers(controller: RecordingController):
    """(of the ChatModel, of a child)"""
    registry = kopf.OperatorRegistry()
    register(registry, controller)
    functions = [handler.fn for handler in registry._watching.get_all_handlers()]
    assert len(functions) == 1 + len(CHILDREN)
    return functions[0], functions[1]


@pytest.mark.parametrize("kind", [None, "ADDED", "MODIFIED"])
async def test_a_chatmodels_event_wakes_it_with_its_revision(kind: str | None, handlers, controller):
    await handlers[0](event={"type": kind}, namespace="demo", name="tiny", meta={"uid": "u1", "generation": 7})
    assert controller.heard == [("wake", Key("demo", "tiny"), Revision("u1", 7))]


async def test_a_deletion_wakes_too_since_a_successor_may_exist_already(handlers, controller):
    await handlers[0](event={"type": "DELETED"}, namespace="demo", name="tiny", meta={"uid": "u1", "generation": 1})
    assert controller.heard == [("wake", Key("demo", "tiny"), None)]


async def test_a_childs_event_wakes_the_chatmodel_that_its_label_names(handlers, controller):
    await handlers[1](namespace="demo", labels={names.MODEL_LABEL: "tiny"}, name="tiny-abc")
    assert controller.heard == [("wake", Key("demo", "tiny"), None)]


def test_no_handler_makes_kopf_write_to_objects(controller: RecordingController):
    registry = kopf.OperatorRegistry()
    register(registry, controller)
    assert registry._changing.get_all_handlers() == []
    assert registry._spawning.get_all_handlers() == []


def test_only_labelled_children_are_watched():
    settings = kopf.OperatorSettings()
    watch_settings(settings)
    assert set(settings.watching.label_selectors.values()) == {names.MODEL_LABEL}
    assert len(settings.watching.label_selectors) == len(CHILDREN)
    assert not settings.posting.enabled
