"""#15: at least 99 % of seeded errors are stopped, in each pair of languages; true sentences mostly pass."""

from collections import Counter

from chatscale_assistant.evaluation.seeded_errors import order_cases, policy_cases, product_cases
from chatscale_assistant.grounding import check_sentences

MUG = {"name": "Mug", "product_id": "1000000001", "variants": {
    "1": {"item_id": "1000000011", "options": {"color": "red", "capacity": "300ml"}, "available": True, "price": 12.5},
    "2": {"item_id": "1000000012", "options": {"color": "blue", "capacity": "300ml"}, "available": False, "price": 14.25},
}}  # fmt: skip
LAMP = {"name": "Desk Lamp", "product_id": "1000000002", "variants": {
    "1": {"item_id": "1000000021", "options": {"color": "black", "material": "metal"}, "available": False, "price": 40.1},
    "2": {"item_id": "1000000022", "options": {"color": "white", "material": "plastic"}, "available": True, "price": 31.0},
}}  # fmt: skip
ORDER = {
    "order_id": "#W1234567", "status": "delivered", "fulfillments": [{"tracking_id": ["357962501027"]}],
    "items": [{"name": "Mug", "item_id": "1000000011", "price": 12.5}, {"name": "Desk Lamp", "item_id": "1000000022", "price": 31.0}],
}  # fmt: skip


def test_seeded_errors_are_stopped_and_true_sentences_pass():
    cases = [
        *list(policy_cases())[::9], *product_cases({"1": MUG, "2": LAMP}), *order_cases({"1": ORDER}),
    ]  # fmt: skip
    count, passed = Counter(), Counter()
    for case in cases:
        kind = "true" if case.error is None else "error"
        count[kind] += 1
        passed[kind] += check_sentences([case.sentence], case.evidence, case.language)[0].supported
    assert count["error"] >= 200
    assert passed["error"] <= 0.01 * count["error"]
    assert passed["true"] >= 0.85 * count["true"]


def test_the_same_shop_gives_the_same_cases():
    assert list(product_cases({"1": MUG, "2": LAMP})) == list(product_cases({"2": LAMP, "1": MUG}))
