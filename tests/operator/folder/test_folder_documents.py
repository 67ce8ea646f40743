"""Reading a folder: every document stands for itself, and what is wrong is named by file, document and field."""

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast_operator.adapters.folder import yaml_text
from holdfast_operator.adapters.folder.documents import MAX_DOCUMENTS, MAX_FILE, Reading, read_document, read_folder
from holdfast_operator.adapters.folder.metadata import small_kind_problems
from holdfast_operator.reconcile.ports import Key, Kind, Object

GOOD = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: good, namespace: shop}
data: {a: b}
"""
GOOD_KEY = Key(Kind.CONFIG_MAP, "shop", "good")


def check(key: Key, obj: Object) -> tuple[Object, list[tuple[str, str]]]:
    return obj, [] if key.kind in (Kind.OAUTH_CLIENT, Kind.MTLS_POLICY) else small_kind_problems(key, obj)


def read(root: Path, **files: str | bytes) -> Reading:
    for name, content in files.items():
        path = root / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_folder(root, check)


def only_problem(reading: Reading) -> str:
    [problem] = reading.problems
    return str(problem)


def test_documents_of_nested_files_are_read_and_keep_their_place(tmp_path: Path) -> None:
    reading = read(tmp_path, a__b__c=f"# nothing\n---\n{GOOD}---\n---\n{GOOD.replace('good', 'second')}")

    assert reading.documents[GOOD_KEY].file == "a/b/c.yaml"
    assert reading.documents[Key(Kind.CONFIG_MAP, "shop", "second")].number == 2
    assert not reading.problems


def test_an_object_without_namespace_goes_to_default(tmp_path: Path) -> None:
    reading = read(tmp_path, a=GOOD.replace(", namespace: shop", ""))

    [key] = reading.documents
    assert key.namespace == "default"
    assert reading.documents[key].object["metadata"]["namespace"] == "default"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("a: [1, 2", "bad.yaml, document 1: line"),
        ("a: 1\na: 2\n", "key 'a' stands twice"),
        ("1: x\n", "expected a string as key, found '1'"),
        ("y: x\n", "expected a string as key, found 'y': kubectl reads a boolean there, write 'y'"),
        ("[1]\n", "expected an object with apiVersion, kind and metadata, found list"),
        ("kind: X\n", "apiVersion: expected a non-empty string, found None"),
        (
            "apiVersion: holdfast.dev/v1alpha1\nkind: OAuthCleint\n",
            "expected one of holdfast.dev/v1alpha1 OAuthClient",
        ),
        ("apiVersion: holdfast.dev/v9\nkind: OAuthClient\n", "found holdfast.dev/v9 OAuthClient"),
        ("apiVersion: v1\nkind: ConfigMap\n", "metadata: expected an object, found None"),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ../up}\n",
            'metadata.name: Invalid value: "../up": a lowercase RFC 1123 subdomain',
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: A}\n",
            'metadata.namespace: Invalid value: "A": a lowercase RFC 1123 label',
        ),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, nmae: b}\n", 'unknown field "metadata.nmae"'),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: 1}\n", "data[k]: expected a string, found 1"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndta: {}\n", 'dta: unknown field "dta"'),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: a.b}\n", "a lowercase RFC 1123 label"),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: !!binary aGk=}\n",
            "expected a type that JSON has",
        ),
        ("x: .nan\n", ".nan is no JSON number"),
        ('x: "\\ud800"\n', "document 1: "),
        ("x: " + "9" * 5000, "expected a value that can be read as int, found '99"),
        ("x: *nobody\n", "nobody"),
        ("x: &a [*a]\n", "alias *a is unknown or contains itself"),
        ("x: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        ("x: " + "[" * 100 + "]" * 100, "expected at most 64 levels"),
    ],
)
def test_a_bad_document_is_named_and_leaves_the_others_alone(tmp_path: Path, bad: str, said: str) -> None:
    reading = read(tmp_path, bad=f"{bad}\n---\n{GOOD}")

    assert said in only_problem(reading)
    assert only_problem(reading).startswith("bad.yaml, document 1")
    assert GOOD_KEY in reading.documents


def test_aliases_that_grow_without_end_are_refused_before_they_are_built(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]

    reading = read(tmp_path, bomb="\n".join(lines))

    assert "values with aliases written out" in only_problem(reading)


def test_an_honest_alias_and_a_merge_key_are_read(tmp_path: Path) -> None:
    text = GOOD.replace("data: {a: b}", "data:\n  <<: &base {a: b, c: d}\n  a: mine\n")

    reading = read(tmp_path, a=text)

    assert reading.documents[GOOD_KEY].object["data"] == {"a": "mine", "c": "d"}


def test_a_date_stays_the_string_that_was_written(tmp_path: Path) -> None:
    reading = read(tmp_path, a=GOOD.replace("{a: b}", "{a: 2026-01-01}"))

    assert reading.documents[GOOD_KEY].object["data"] == {"a": "2026-01-01"}


def test_a_file_that_is_not_utf8_is_named_with_the_byte(tmp_path: Path) -> None:
    reading = read(tmp_path, bad=b"a: \xff\n", good=GOOD)

    assert only_problem(reading) == "bad.yaml: expected UTF-8, found byte 0xff at offset 3"
    assert reading.unreadable == {"bad.yaml"}
    assert GOOD_KEY in reading.documents


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    reading = read(tmp_path, huge=b"#" * (MAX_FILE + 1), good=GOOD)

    assert f"expected at most {MAX_FILE} bytes" in only_problem(reading)


def test_a_fifo_does_not_hold_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")

    reading = read(tmp_path, good=GOOD)

    assert "expected a regular file" in only_problem(reading)
    assert GOOD_KEY in reading.documents


def test_a_symlink_to_a_file_is_read_and_a_loop_of_folders_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text(GOOD)
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.yaml").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (root / "dangling.yaml").symlink_to(root / "nothing")

    reading = read_folder(root, check)

    assert list(reading.documents) == [GOOD_KEY]
    assert "dangling.yaml" in only_problem(reading)


def test_hidden_files_and_the_data_folder_are_left_out(tmp_path: Path) -> None:
    read(tmp_path, data__a=GOOD)
    (tmp_path / ".swap.yaml").write_text("[")

    assert not read_folder(tmp_path, check, skip=tmp_path / "data").documents


def test_the_same_object_twice_is_named_with_both_places_and_the_first_holds(tmp_path: Path) -> None:
    reading = read(tmp_path, a=GOOD, b=GOOD.replace("a: b", "a: other"))

    assert reading.documents[GOOD_KEY].object["data"] == {"a": "b"}
    assert only_problem(reading) == (
        "b.yaml, document 1, ConfigMap shop/good: metadata.name: the same object stands in a.yaml, document 1, which holds"
    )


def test_other_kinds_are_noted_and_left_alone(tmp_path: Path) -> None:
    reading = read(tmp_path, a="apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n")

    assert reading.notes == ["a.yaml, document 1: apps/v1 Deployment is not read here"]
    assert not reading.problems


def test_what_a_server_owns_is_not_declared(tmp_path: Path) -> None:
    meta = "{name: good, namespace: shop, uid: x, resourceVersion: '1', finalizers: [a], labels: {a: b}}"
    reading = read(tmp_path, a=GOOD.replace("{name: good, namespace: shop}", meta) + "status: {x: 1}\n")

    obj: dict[str, Any] = reading.documents[GOOD_KEY].object if GOOD_KEY in reading.documents else {}
    assert obj["metadata"] == {"name": "good", "namespace": "shop", "labels": {"a": "b"}}
    assert "status" not in obj


def test_a_file_whose_name_is_not_text_is_read_and_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.yaml")).write_text("{")

    assert only_problem(read_folder(tmp_path, check)).encode().startswith(b"?.yaml, document 1")


PIECES = [
    "---\n",
    "a: ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!!binary x",
    "\n",
    "  ",
    "'",
    '"',
    "\\u0000",
    "#",
    "| \n",
    GOOD,
]


@given(st.lists(st.sampled_from(PIECES), max_size=12) | st.text().map(lambda text: [text]))
def test_no_text_makes_the_reader_fail(pieces: list[str]) -> None:
    reading = Reading()

    for part in yaml_text.split("".join(pieces)):
        read_document(part, "a.yaml", check, reading)

    assert all(str(problem).startswith("a.yaml, document ") for problem in reading.problems)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_no_metadata_makes_the_reader_fail(meta: object) -> None:
    reading = Reading()
    text = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": meta})

    for part in yaml_text.split(text):
        read_document(part, "a.yaml", check, reading)

    assert reading.documents.keys().isdisjoint(reading.broken)


@pytest.mark.parametrize(
    "text",
    [
        *("a: !!bool foo", 'a: !!int ""', "a: !!int -", "a: !!int _", 'a: !!float ""', "a: !!int 1:30", "a: !!float 1:30.5"),
        *("? !!str [a]\n: b", "!!str {a: b}: c", "a: !!map [1]", "a: !!seq {a: 1}", "a: !!null {a: b}", "a: !!int [1]"),
        *("a: !!bool {}", "a: !!float []", "? [a, b]\n: c", "!!merge x: [1, 2]", "a: !!map b"),
    ],
)
def test_a_value_that_does_not_fit_its_tag_is_a_problem_of_its_document(tmp_path: Path, text: str) -> None:
    reading = read(tmp_path, a=f"{GOOD}---\n{text}\n")

    assert GOOD_KEY in reading.documents
    assert only_problem(reading).startswith("a.yaml, document 2: ")


TAGS = st.sampled_from(["", *(f"!!{tag} " for tag in ("int", "float", "bool", "str", "map", "seq", "null", "merge"))])
VALUES = st.sampled_from(["a", "-", "_", "0x_", "1:2", "''", "[a]", "{a: b}", "[[a]]", "~", "1", "<<", "="])


TAGGED = st.builds(str.__add__, TAGS, VALUES)


@given(st.one_of(TAGGED.map(lambda key: f"? {key}\n: x\n"), TAGGED.map(lambda value: f"k: {value}\n"), TAGGED))
@settings(max_examples=400)
def test_no_tag_on_any_value_is_more_than_a_yaml_error(text: str) -> None:
    with contextlib.suppress(yaml_text.YamlError):
        yaml_text.load(yaml_text.Part(1, 1, text))


def test_a_number_to_base_60_is_a_string_as_for_the_api_server() -> None:
    began = time.perf_counter()
    long = "1" + ":1" * 400_000

    assert yaml_text.load(yaml_text.Part(1, 1, f"{{a: 1:30, b: 1:30.5, c: 1_0, d: 1.5, e: {long}}}")) == {
        "a": "1:30",
        "b": "1:30.5",
        "c": 10,
        "d": 1.5,
        "e": long,
    }
    assert time.perf_counter() - began < 5


def test_many_documents_take_no_longer_than_their_number_and_are_read_up_to_a_limit(tmp_path: Path) -> None:
    began = time.perf_counter()
    parts = list(yaml_text.split("---\na\n" * 170_000))
    assert (len(parts), parts[-1].line) == (170_000, 340_000 - 1)
    reading = read(tmp_path, a="---\na\n" * 170_000)

    assert time.perf_counter() - began < 10
    assert len(reading.problems) == MAX_DOCUMENTS + 1
    assert "expected at most 1000 documents" in str(reading.problems[-1])
    assert "a.yaml" in reading.unreadable


def test_a_list_is_answered_with_what_to_write_instead(tmp_path: Path) -> None:
    reading = read(tmp_path, a="apiVersion: v1\nkind: List\nitems: [{apiVersion: v1}]\n")

    assert "expected the items of the List as documents, separated by ---" in only_problem(reading)


@pytest.mark.parametrize(
    "key", ["", "a b", "\x1b[31m", "/x", "a/", "A.example/x", "a/b/c", "x" * 64, "-x", f"{'a' * 254}/x"]
)
def test_a_label_key_that_kubernetes_does_not_take_is_named(tmp_path: Path, key: str) -> None:
    labels = json.dumps({key: "v"})
    reading = read(tmp_path, a=GOOD.replace("namespace: shop", f"namespace: shop, labels: {labels}"))

    assert f"metadata.labels[{key}]: expected a key of at most 63 letters" in only_problem(reading)


@pytest.mark.parametrize("member", ["labels", "annotations"])
def test_keys_that_kubernetes_takes_are_taken(tmp_path: Path, member: str) -> None:
    keys = json.dumps({"a": "", "app.kubernetes.io/name": "x", "A_b.c-1": "y", "x" * 63: "z", "1.example/Z": ""})
    reading = read(tmp_path, a=GOOD.replace("namespace: shop", f"namespace: shop, {member}: {keys}"))

    assert not reading.problems


def test_the_prefix_of_an_annotation_may_be_written_in_capitals(tmp_path: Path) -> None:
    reading = read(tmp_path, a=GOOD.replace("namespace: shop", 'namespace: shop, annotations: {"A.Example/x": ""}'))

    assert not reading.problems
