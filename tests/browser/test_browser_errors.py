"""What an error looks like to a person: one line with its remedy."""


def test_an_error_of_ours_is_one_line(lab):
    notebook = lab.open("errors", "from maskrf_core.datasets.scene import open_scene\nopen_scene('demo/trian_00')")
    notebook.run(0)
    shown = notebook.output(0).inner_text()
    notebook.screenshot("errors")
    assert "demo/train_00" in shown
    assert "traces/" in shown
    assert len(shown.strip().splitlines()) == 1
