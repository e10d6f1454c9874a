"""Bars as a pandas DataFrame, for notebooks, hvPlot and files. Floor 2; pandas is imported when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.types import BarSource

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("open", "high", "low", "close", "volume", "vwap", "n_trades", "is_partial", "is_complete", "source", "revision", "ts_close")


def to_frame(rows: np.ndarray, *, symbol: str = "", timeframe: str = "") -> pd.DataFrame:
    """Return BAR_DTYPE rows as a DataFrame indexed by `ts_open` in New York time; `.attrs` holds symbol and timeframe."""
    import pandas as pd

    index = pd.DatetimeIndex(pd.to_datetime(rows["ts_open"], utc=True)).tz_convert("America/New_York").rename("ts_open")
    data = {name: rows[name] for name in COLUMNS}
    data["is_partial"] = rows["is_partial"].astype(bool)
    data["is_complete"] = rows["is_complete"].astype(bool)
    names = np.array([source.name.lower() for source in BarSource])
    data["source"] = pd.Categorical.from_codes(rows["source"].astype(np.int8), categories=names)
    data["ts_close"] = pd.DatetimeIndex(pd.to_datetime(rows["ts_close"], utc=True)).tz_convert("America/New_York")
    frame = pd.DataFrame(data, index=index)
    frame.attrs.update(symbol=symbol, timeframe=timeframe)
    return frame
