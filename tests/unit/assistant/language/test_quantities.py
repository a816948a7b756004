"""The same fact has the same key, however it is written."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.language.quantities import FactKind, find_facts

EN, FR, ZH = Language.ENGLISH, Language.FRENCH, Language.CHINESE


def keys(text, language):
    return [fact.key for fact in find_facts(text, language)]


@pytest.mark.parametrize(
    "written",
    [
        [("1,000.00 USD", EN), ("$1,000", EN), ("1 000,00 $", FR), ("1.000,00 dollars", FR), ("1000美元", ZH), ("一千美元", ZH)],
        [("30 days", EN), ("thirty days", EN), ("trente jours", FR), ("三十天", ZH), ("３０天", ZH), ("30-day", EN)],
        [("two weeks", EN), ("14 days", EN), ("deux semaines", FR), ("两周", ZH), ("14天", ZH)],
        [("5 March 2026", EN), ("March 5, 2026", EN), ("5 mars 2026", FR), ("2026年3月5日", ZH), ("2026-03-05", EN), ("05/03/2026", FR)],
        [("10%", EN), ("10 percent", EN), ("10 pour cent", FR), ("百分之十", ZH), ("10 %", FR)],
        [("6 pm", EN), ("18:00", EN), ("18h00", FR), ("下午6点", ZH)],
        [("1.5 kg", EN), ("1,5 kg", FR), ("1500 g", EN), ("1.5公斤", ZH)],
    ],
    ids=["money", "days", "weeks", "date", "percent", "time", "weight"],
)  # fmt: skip
def test_notations_of_one_fact_are_equal(written):
    found = [keys(text, language) for text, language in written]
    assert all(each == found[0] and len(each) == 1 for each in found), found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("30 days", "30 hours"),
        ("5 business days", "5 days"),
        ("$5", "€5"),
        ("1 month", "30 days"),
        ("10%", "10"),
        ("500 g", "500 ml"),
    ],
)
def test_other_units_are_other_facts(one, other):
    assert keys(one, EN) != keys(other, EN)


def test_both_ends_of_a_range_have_the_unit():
    assert keys("5 to 7 business days", EN) == keys("5至7个工作日", ZH) == keys("5 à 7 jours ouvrés", FR)
    assert [fact.unit for fact in find_facts("5 to 7 business days", EN)] == ["business days"] * 2


def test_finds_links_mails_phones_and_codes():
    found = find_facts("See https://x.example/a, a@b.example, +33 1 23 45 67 89, #W1234567, SAVE20, 6469567736.", EN)
    assert [fact.kind for fact in found] == [
        FactKind.LINK, FactKind.EMAIL, FactKind.PHONE, FactKind.CODE, FactKind.CODE, FactKind.CODE,
    ]  # fmt: skip


def test_pronouns_and_politeness_are_no_numbers():
    assert keys("This one is one of our best. 一起看一下，十分感谢。 Un autre, s'il vous plaît.", EN) == []


@given(st.decimals(min_value=0, max_value=99_999, places=2))
def test_money_is_read_as_it_is_written(amount):
    english, french = f"${amount:,.2f}", f"{amount:,.2f} $".replace(",", " ").replace(".", ",")
    assert keys(english, EN) == keys(french, FR)


@given(st.dates(min_value=date(2000, 1, 1), max_value=date(2099, 12, 31)))
def test_dates_are_read_as_they_are_written(day):
    assert keys(day.isoformat(), EN) == keys(f"{day.year}年{day.month}月{day.day}日", ZH) == keys(f"{day:%d/%m/%Y}", FR)


@given(st.text(max_size=300), st.sampled_from(list(Language)))
def test_reads_any_text(text, language):
    find_facts(text, language)
