import pytest

from maskrf_core.support.errors import DatasetError, MaskrfError, in_short


@pytest.mark.parametrize("name", ["caf\udce9.png", "\ud800"])
def test_a_message_with_a_name_that_is_not_utf8_can_be_printed(name: str, capfd):
    print(DatasetError(f"/data/ä/{name}: missing."))
    assert capfd.readouterr().out == f"/data/ä/{name.encode('ascii', 'backslashreplace').decode()}: missing.\n"


def test_other_messages_are_as_they_were():
    assert str(MaskrfError("300×400 “ä”")) == "300×400 “ä”"
    assert str(MaskrfError()) == ""


@pytest.mark.parametrize("count", [0, 1, 10, 11, 500])
def test_a_message_names_ten_and_counts_the_others(count: int):
    names = [f"name{place}" for place in range(count)]
    said = in_short(names)
    assert said.count("name") == min(count, 10)
    assert said.endswith(f" and {count - 10} more" if count > 10 else ", ".join(names[-1:]))
