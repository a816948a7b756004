"""Catalogues become rows; a bad one is refused with the place, the expectation and the found value."""

import re

import pytest

from chatscale_assistant.errors import SourceError
from chatscale_assistant.retrieval import catalogue, decoding
from chatscale_assistant.retrieval.catalogue import read_catalogue
from chatscale_assistant.retrieval.passages import make_passages


def read(text: str | bytes, file: str = "shop.csv"):
    return read_catalogue("catalogue", "v", file, text.encode() if isinstance(text, str) else text)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_row_is_a_chunk_with_its_fields(separator):
    text = "sku,Product Name,price\n007,Tea Kettle,19.90\n".replace(",", separator)

    (chunk,) = read("\ufeff" + text)

    assert (chunk.title, dict(chunk.fields)) == (
        "Tea Kettle",
        {"sku": "007", "Product Name": "Tea Kettle", "price": "19.90"},
    )
    assert chunk.text == "sku: 007\nProduct Name: Tea Kettle\nprice: 19.90"


def test_numbers_of_jsonl_stay_as_they_are_written():
    (chunk,) = read(
        '{"name": "Mug", "price": 19.90, "options": {"color": "red"}, "tags": ["a", 1], "x": null}\n', "a.jsonl"
    )

    assert dict(chunk.fields) == {"name": "Mug", "price": "19.90", "options.color": "red", "tags": "a, 1", "x": ""}


@pytest.mark.parametrize(
    ("header", "name"),
    [
        pytest.param("id,title,name", "name", id="name before title"),
        pytest.param("id,Désignation,prix", "Désignation", id="french"),
        pytest.param("编号,商品名称,价格", "商品名称", id="chinese"),
        pytest.param("item_id,product-name,x", "product-name", id="separators"),
    ],
)
def test_the_name_column_is_the_best_of_the_documented_names(header, name):
    cells = ["1", "b", "c"]

    (chunk,) = read(f"{header}\n{','.join(cells)}\n")

    assert chunk.title == cells[header.split(",").index(name)]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        pytest.param("a.csv", "id,price\n1,2\n", "expected a column with the product's name", id="no name"),
        pytest.param("a.csv", "name,a\nMug\n", "row 2: expected 2 cells as in the header, found 1", id="short row"),
        pytest.param(
            "a.csv", "name,a,a\nMug,1,2\n", "row 1, column 3: expected distinct names, found 'a'", id="column"
        ),
        pytest.param(
            "a.csv", "name,\nMug,1\n", "row 1, column 2: expected a name, found an empty cell", id="no column"
        ),
        pytest.param("a.csv", "id,name\n1,\n", "row 2, column 'name': expected the product's name", id="no title"),
        pytest.param(
            "a.csv",
            "id,name\n1,Mug\n1,Cup\n",
            "row 3, column 'id': expected a value that no other row has, found '1' of row 2 again",
            id="duplicate id",
        ),
        pytest.param(
            "a.csv", f"name,a\nMug,{'x' * 9000}\n", "row 2, column 'a': expected at most 8000", id="huge cell"
        ),
        pytest.param("a.csv", f'name,a\nMug,"{"x" * 200_000}"\n', "row 2: expected valid CSV, found", id="huger cell"),
        pytest.param("a.csv", 'name\n"Mug\n', "expected valid CSV, found", id="open quote"),
        pytest.param("a.csv", "name\n", "expected at least one row, found none", id="empty"),
        pytest.param("a.csv", "", "row 1, column 1|expected at least one row", id="nothing"),
        pytest.param("a.csv", f"{','.join(map(str, range(201)))}\n", "row 1: expected at most 200 columns", id="wide"),
        pytest.param("a.xlsx", "PK", "expected a file named .csv, .tsv, .jsonl or .ndjson", id="excel"),
        pytest.param("a.jsonl", '{"name": "Mug"}\n[1]\n', "row 2: expected a JSON object, found '[1]'", id="array"),
        pytest.param("a.jsonl", '{"name": "Mug"', "row 1: expected a JSON object, found", id="cut off"),
        pytest.param("a.jsonl", '{"name": "Mug", "a": NaN}', "row 1: expected JSON, found NaN", id="not a number"),
        pytest.param("a.jsonl", '{"name": "A", "name": "B"}', "row 1: expected each column once", id="key twice"),
        pytest.param("a.jsonl", "[" * 100_000, "row 1: expected a JSON object", id="deep"),
        pytest.param("a.jsonl", '{"name":"a","b":{"c":{"d":{"e":{"f":1}}}}}', "at most 4 levels", id="nested"),
        pytest.param("a.jsonl", '{"name": "M\\ud800"}', "column 'name': expected text, found half", id="surrogate"),
        pytest.param("a.jsonl", '{"name": "Mug", "a": [{"b": 1}]}', "column 'a': expected a list of plain", id="list"),
    ],
)
def test_a_bad_catalogue_is_refused_with_the_place_and_what_was_found(file, text, message):
    with pytest.raises(SourceError, match="|".join(re.escape(part) for part in message.split("|"))) as error:
        read(text, file)

    assert str(error.value).startswith(f"source catalogue: {file}")
    assert len(str(error.value)) < 600


def test_bounds_of_files_and_rows_hold(monkeypatch):
    monkeypatch.setattr(catalogue, "MAX_ROWS", 3)
    with pytest.raises(SourceError, match="expected at most 3 rows"):
        read("name\n" + "Mug\n" * 5)

    monkeypatch.setattr(decoding, "MAX_FILE_BYTES", 8)
    with pytest.raises(SourceError, match="expected at most 8 bytes, found 11"):
        read("name\nMug xx")


def test_a_changed_price_changes_the_row_but_not_what_is_embedded():
    before = read("id,name,color,price,in stock\n1,Mug,red,19.90,yes\n2,Mug,blue,18.50,no\n")
    after = read("id,name,color,price,in stock\n1,Mug,red,24.90,yes\n2,Mug,blue,18.50,yes\n")

    assert [each.id for each in before] != [each.id for each in after]
    (passage,) = make_passages(before)
    assert passage.text == "Mug. color: red, blue"
    assert [each.key for each in make_passages(after)] == [passage.key]
