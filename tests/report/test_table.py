import pytest

from unmask.report.table import Table


def test_text_is_aligned_and_html_escaped() -> None:
    table = Table("Files", ("name", "size"), (("a<b>.mp4", "1"), ("c", "22")), ("A & B",))
    assert str(table).splitlines() == [
        "Files",
        "  name      size",
        "  a<b>.mp4  1",
        "  c         22",
        "  A & B",
    ]
    shown = table._repr_html_()
    assert "a&lt;b&gt;.mp4" in shown
    assert "A &amp; B" in shown
    assert shown.count("<tr>") == 3
    assert "<b>a&lt;i&gt;</b>" in Table("a<i>", ("a",), ())._repr_html_()
    assert "<th" not in Table("x", ("", ""), (("a", "b"),))._repr_html_()
    assert str(Table("nothing", ("a",), ())) == "nothing"


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 cells"):
        Table("x", ("a", "b"), (("only one",),))
