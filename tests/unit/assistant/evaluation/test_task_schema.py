import pytest

from chatscale_assistant.evaluation.task_schema import INPUTS, NOW, RandomVectors, measure
from chatscale_assistant.tasks.registry import TASKS
from chatscale_assistant.tasks.sentiment_head import packaged_head
from chatscale_assistant.tasks.task import TaskContext


@pytest.mark.parametrize("name", list(TASKS))
def test_every_result_is_whole_and_valid(name):
    context = TaskContext(encoder=RandomVectors(), now=NOW, head=packaged_head())
    found = measure(TASKS[name], context, 25, seed=7)
    assert (found.value, found.n) == (1.0, 25)


def test_every_task_has_inputs():
    assert set(INPUTS) == set(TASKS)
