"""The generators refuse sources with gaps, and `--check` says what is stale without touching it."""

from pathlib import Path

import pytest

from chatscale.observe.dialects.chatscale_server import CHATSCALE_SERVER
from hack import generate
from hack.generate import GeneratedFile
from hack.generators import metrics_reference
from hack.generators.chart_readme import DocumentedValue, documented_values
from hack.generators.markdown import table
from hack.release import ReleaseError, check_tag, notes


def test_a_value_is_documented_by_the_comment_above_it():
    text = "a:\n  # -- First.\n  b: 1\n# -- A whole object.\nc:\n  d: [x]\n"

    assert documented_values(text) == [
        DocumentedValue("a.b", 1, "First."),
        DocumentedValue("c", {"d": ["x"]}, "A whole object."),
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("a:\n  b: 1\n", "a.b has no `# --` comment", id="value without a comment"),
        pytest.param("# -- One.\n# -- Two.\na: 1\n", "'One.' is followed by another one", id="comment without a value"),
    ],
)
def test_refuses_values_with_gaps(text: str, complaint: str):
    with pytest.raises(ValueError, match=r"values\.yaml") as refusal:
        documented_values(text)

    assert complaint in str(refusal.value)


def test_refuses_metrics_that_the_contract_promises_and_the_server_lacks():
    with pytest.raises(ValueError, match="exposes no inference_queue_depth"):
        metrics_reference.render([], [], contract=["inference_queue_depth"])


def test_the_metrics_reference_says_what_scaling_follows():
    text = " ".join(generate.metrics_md().split())

    assert "In mode Operator, scaling follows `spec.autoscaling.slo`" in text
    for metric in (*CHATSCALE_SERVER.names, "inference_requests_running"):
        assert f"`{metric}`" in text.partition("| Metric |")[0]


def test_a_pipe_in_a_cell_does_not_end_it():
    assert table(("A",), [("x|y",)]) == "| A |\n| --- |\n| x\\|y |\n"


@pytest.fixture
def one_stale_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "made.txt"
    path.write_text("old\n")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "generated_files", lambda: iter([GeneratedFile(path, "new\n")]))
    return path


def test_check_shows_what_is_stale_and_leaves_it(one_stale_file: Path, capsys: pytest.CaptureFixture[str]):
    code = generate.main(["--check"])
    said = capsys.readouterr()

    assert code == 1
    assert "-old\n+new" in said.out
    assert "run `make generate`" in said.err
    assert one_stale_file.read_text() == "old\n"


def test_generate_writes_and_then_check_agrees(one_stale_file: Path, capsys: pytest.CaptureFixture[str]):
    assert generate.main([]) == 0
    assert one_stale_file.read_text() == "new\n"
    assert generate.main(["--check"]) == 0


def test_release_notes_are_this_versions_part_of_the_changelog():
    changelog = "# Changelog\n\n## [Unreleased]\nsoon\n\n## [0.1.0] - 2026-11-24\n- First.\n\n## [0.0.1]\n- Old.\n"
    text = notes(changelog, "r.example/x")

    assert text.startswith("- First.\n\n## Install\n")
    assert "operator.image.repository=r.example/x/operator" in text
    assert "Old" not in text


def test_a_release_without_notes_or_with_another_tag_is_refused():
    with pytest.raises(ReleaseError, match="no part"):
        notes("## [Unreleased]\n", "r")
    with pytest.raises(ReleaseError, match=r"v9\.9\.9 does not fit"):
        check_tag("v9.9.9")


def test_the_metrics_reference_has_the_gateways_metrics_with_their_labels():
    assert "| `gateway_requests_in_flight` | gauge | `model`, `namespace`, `pod` |" in generate.metrics_md()
    assert "| `gateway_refusals_total` | counter | `model`, `namespace`, `reason` |" in generate.metrics_md()
