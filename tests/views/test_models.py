import pytest

from workbench.errors import SymbolError, TimeframeError
from workbench.views.models import ChartModel, WatchlistModel


def test_a_typed_symbol_becomes_capitals_and_a_preferred_share_keeps_its_case():
    model = ChartModel()
    model.show(" nvda ")
    assert model.symbol == "NVDA"
    model.show("KIMpL")
    assert model.symbol == "KIMpL"


def test_symbol_and_timeframe_change_in_one_step():
    model, seen = ChartModel(), []
    model.param.watch(lambda *events: seen.append(len(events)), ["symbol", "timeframe"])
    model.show("QQQ", "15m")
    assert seen == [2]


def test_a_wrong_timeframe_names_the_right_ones_and_changes_nothing():
    model = ChartModel(symbol="SPY", timeframe="5m")
    with pytest.raises(TimeframeError, match=r"'5min' \(did you mean '5m'\?\); allowed: 1m"):
        model.show("QQQ", "5min")
    assert (model.symbol, model.timeframe) == ("SPY", "5m")


def test_the_watchlist_keeps_the_traders_order():
    watched = WatchlistModel(symbols=["SPY", "QQQ", "AAPL"])
    watched.move("AAPL", 0)
    watched.add("nvda")
    watched.remove("QQQ")
    assert watched.symbols == ["AAPL", "SPY", "NVDA"]


def test_a_symbol_stands_on_the_list_once():
    watched = WatchlistModel(symbols=["SPY"])
    with pytest.raises(SymbolError, match="'SPY', which is on the list already"):
        watched.add("spy")


@pytest.mark.parametrize("text", ["", "!!", "A B", "<script>"])
def test_what_is_no_symbol_is_refused_with_examples(text):
    with pytest.raises(SymbolError, match="examples: SPY"):
        WatchlistModel().add(text)


def test_arrows_walk_through_the_list_and_stop_at_its_ends():
    watched = WatchlistModel(symbols=["A", "B", "C"])
    assert [watched.neighbour("B", step) for step in (-1, 1, 5, -5)] == ["A", "C", "C", "A"]
    assert watched.neighbour("Z", 1) == "A"
    assert WatchlistModel().neighbour("A", 1) is None
