"""The table of data sets agrees with the readers and can be read."""

import re
from importlib import import_module

from maskrf_core.datasets.files.scene_names import name_parts
from maskrf_core.datasets.records import DATA_SETS, markdown_table, published_weights


def links(data_set):
    return re.findall(r"\]\(([^)]*)\)", data_set.source)


def test_every_record_is_whole():
    for name, data_set in DATA_SETS.items():
        assert data_set.name == name
        assert name_parts(data_set.example, data_set.pattern, "")
        for function in filter(None, (data_set.reader, data_set.names)):
            module, _, called = function.partition(":")
            assert callable(getattr(import_module(module), called))
        assert data_set.example.split("/")[0] == data_set.pattern.split("/")[0] == name
        assert len(data_set.example.split("/")) == len(data_set.pattern.split("/"))
        assert data_set.needed
        assert data_set.used_for
        assert all(link.startswith("https://") for link in links(data_set)), data_set.source
        assert links(data_set)


def test_shares_that_may_be_gone_say_so_and_link_to_a_page():
    every = [link for data_set in DATA_SETS.values() for link in links(data_set)]
    assert not [link for link in every if "sharepoint" in link or "drive.google" in link]
    for name in ("dtu_train", "dtu_test", "llff_colmap", "nerf_synthetic"):
        assert "may be gone" in DATA_SETS[name].source


def test_markdown_has_one_whole_row_each():
    header, rule, *rows = markdown_table().splitlines()
    assert len(rows) == len(DATA_SETS)
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in (header, rule, *rows)}
    assert columns == {8}
    assert not re.search("<", re.sub("`[^`]*`", "", "".join(rows)))  # it would be taken for a tag
    assert r"`nerf_synthetic/<scene>/<black\|white>_<width>`" in markdown_table(["nerf_synthetic"])


def test_the_published_mixture():
    assert published_weights() == {"gso": 80, "dtu_train": 20, "real_iconic": 10, "space": 20, "real_estate": 40}
