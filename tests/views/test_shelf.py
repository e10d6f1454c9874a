import pytest

from workbench.errors import StoreError
from workbench.views.shelf import Shelf


def test_what_was_kept_is_there_tomorrow(tmp_path):
    Shelf(tmp_path).write("watchlist", ["SPY", "QQQ"])
    assert Shelf(tmp_path).read("watchlist", []) == ["SPY", "QQQ"]


def test_levels_are_kept_by_symbol_and_no_symbol_leaves_the_folder(tmp_path):
    shelf = Shelf(tmp_path / "desk")
    for symbol in ("SPY", "O:SPY241220P00720000", "BRK/B", "../../evil"):
        shelf.keep_levels(symbol, [{"id": "a", "price": 1.5, "label": symbol}])
    assert Shelf(tmp_path / "desk").levels("BRK/B")[0]["label"] == "BRK/B"
    assert {path.parent for path in tmp_path.rglob("*.json")} == {tmp_path / "desk" / "levels"}


def test_a_damaged_file_is_put_aside_not_lost(tmp_path):
    (tmp_path / "prefs.json").write_text("{broken")
    assert Shelf(tmp_path).read("prefs", {}) == {}
    assert (tmp_path / "prefs.json.broken").read_text() == "{broken"


def test_levels_without_a_price_are_left_out_and_others_get_what_they_lack(tmp_path):
    (tmp_path / "levels").mkdir()
    (tmp_path / "levels" / "SPY.json").write_text('[{"price": NaN}, {"price": true}, 7, {"price": "1"}, {"price": 5, "colour": 3}]')
    assert Shelf(tmp_path).levels("SPY") == [{"id": "h0", "price": 5, "label": ""}]


def test_a_file_of_another_kind_gives_the_default(tmp_path):
    (tmp_path / "watchlist.json").write_text('{"a": 1}')
    assert Shelf(tmp_path).read("watchlist", []) == []


def test_a_disk_that_refuses_says_which_file(tmp_path):
    (tmp_path / "desk").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"watchlist\.json: can't be written"):
        Shelf(tmp_path / "desk").write("watchlist", [])


def test_without_a_folder_it_remembers_while_it_lives():
    shelf = Shelf(None)
    shelf.write("prefs", {"theme": "light"})
    assert shelf.read("prefs", {}) == {"theme": "light"}
