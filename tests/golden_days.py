"""The pinned days that `test_golden_days.py` checks: sessions from the exchange's notices, in UTC; digests of the bars of a fixed tape."""

from __future__ import annotations

from typing import NamedTuple


class Golden(NamedTuple):
    """One pinned day."""

    day: str
    why: str
    open_utc: str
    close_utc: str
    bars: str


DAYS = (
    Golden("2018-12-04", "eve of the Bush closure", "14:30", "21:00", "9ff5df5a9af4a5d3"),
    Golden("2018-12-06", "after the Bush closure", "14:30", "21:00", "d991ab5947dcf383"),
    Golden("2025-01-08", "eve of the Carter closure", "14:30", "21:00", "0b25ced4874152d4"),
    Golden("2025-01-10", "after the Carter closure", "14:30", "21:00", "406d2a0a3dce60b6"),
    Golden("2012-10-26", "last before hurricane Sandy", "13:30", "20:00", "794c06b586c980c3"),
    Golden("2012-10-31", "first after hurricane Sandy", "13:30", "20:00", "3b30e69067cd2eb1"),
    Golden("2024-03-08", "Friday before clocks go forward", "14:30", "21:00", "1bf07a975a8ac9f2"),
    Golden("2024-03-11", "Monday after clocks went forward", "13:30", "20:00", "f9619105ce3a5e3c"),
    Golden("2024-11-01", "Friday before clocks go back", "13:30", "20:00", "de03bcf273246ae9"),
    Golden("2024-11-04", "Monday after clocks went back", "14:30", "21:00", "2e59f862200f36b5"),
    Golden("2025-03-07", "Friday before clocks go forward", "14:30", "21:00", "46aa9c287efe515b"),
    Golden("2025-03-10", "New York ahead, Europe not yet", "13:30", "20:00", "92151d96c507a13c"),
    Golden("2025-03-28", "last day of the gap weeks in spring", "13:30", "20:00", "3390e53232ec9bc2"),
    Golden("2025-03-31", "Europe has followed", "13:30", "20:00", "7f53b36914215c94"),
    Golden("2025-10-24", "Friday before Europe goes back", "13:30", "20:00", "3e68cf9aa333b6a8"),
    Golden("2025-10-27", "Europe back, New York not yet", "13:30", "20:00", "26925c36c2eccd22"),
    Golden("2025-10-31", "Friday before clocks go back", "13:30", "20:00", "5c7abab70b93c839"),
    Golden("2025-11-03", "Monday after clocks went back", "14:30", "21:00", "ded9d753719fa2e9"),
    Golden("2026-03-06", "Friday before clocks go forward", "14:30", "21:00", "758d5fe4ce6bbdf9"),
    Golden("2026-03-09", "Monday after clocks went forward", "13:30", "20:00", "b95c377935e1e401"),
    Golden("2026-10-30", "Friday before clocks go back", "13:30", "20:00", "124b47e5ef7a8135"),
    Golden("2026-11-02", "Monday after clocks went back", "14:30", "21:00", "4c8a81aa1274934b"),
    Golden("2023-11-24", "day after Thanksgiving", "14:30", "18:00", "943b006796c5e147"),
    Golden("2024-11-29", "day after Thanksgiving", "14:30", "18:00", "f5d6eb10950c1ef0"),
    Golden("2025-11-28", "day after Thanksgiving", "14:30", "18:00", "455431e2ad1a3ed7"),
    Golden("2026-11-27", "day after Thanksgiving", "14:30", "18:00", "69d3496b82a28687"),
    Golden("2024-12-24", "Christmas Eve", "14:30", "18:00", "cde27953b43a15fb"),
    Golden("2025-12-24", "Christmas Eve", "14:30", "18:00", "831bf7142bb9dd87"),
    Golden("2026-12-24", "Christmas Eve", "14:30", "18:00", "b2739cb85989db6d"),
    Golden("2023-07-03", "eve of Independence Day", "13:30", "17:00", "c29b08d288fa4288"),
    Golden("2024-07-03", "eve of Independence Day", "13:30", "17:00", "4652107ecdb507de"),
    Golden("2025-07-03", "eve of Independence Day", "13:30", "17:00", "ec7bfdea4afbb028"),
    Golden("2026-07-02", "whole day before a Friday holiday", "13:30", "20:00", "55fe507065907a45"),
    Golden("2021-06-18", "Juneteenth not kept yet", "13:30", "20:00", "d550c33a1eee4138"),
    Golden("2022-06-17", "Friday before the first Juneteenth", "13:30", "20:00", "5dc20e1a08c399c7"),
    Golden("2022-06-21", "Tuesday after the first Juneteenth", "13:30", "20:00", "dd53ea9e16fb4606"),
    Golden("2020-02-28", "eve of 29 February, a Saturday", "14:30", "21:00", "8784a8c9d6308676"),
    Golden("2024-02-29", "leap day", "14:30", "21:00", "315b2605fd41b0b9"),
    Golden("2016-02-29", "leap day", "14:30", "21:00", "3454b2c8fd46c200"),
    Golden("2021-12-31", "New Year's Day on a Saturday: open", "14:30", "21:00", "48f0c68661a8e9a0"),
    Golden("2024-12-31", "year's end", "14:30", "21:00", "cd6a27d1cdb6c716"),
    Golden("2025-01-02", "year's beginning", "14:30", "21:00", "b0159ddc1df934ed"),
    Golden("2025-12-31", "year's end in week 1", "14:30", "21:00", "1617cec2ae78bf05"),
    Golden("2020-03-09", "market-wide halt", "13:30", "20:00", "6a342befdfcdfa79"),
    Golden("2020-03-12", "market-wide halt", "13:30", "20:00", "3fb786c1c008d03e"),
    Golden("2020-03-16", "market-wide halt", "13:30", "20:00", "98a86672f840c2d4"),
    Golden("2020-03-18", "market-wide halt", "13:30", "20:00", "ce5330a080c51b45"),
    Golden("2024-06-07", "last before NVDA's 10:1 split", "13:30", "20:00", "e589fd2dc4f084c2"),
    Golden("2024-06-10", "first after NVDA's 10:1 split", "13:30", "20:00", "155478794f827c45"),
    Golden("2025-08-29", "Friday before a Monday holiday", "13:30", "20:00", "eae7eb1c2b5b461d"),
    Golden("2025-09-02", "Tuesday after a Monday holiday", "13:30", "20:00", "3deb0ff77c3c80ec"),
    Golden("2024-08-05", "busiest open of its year", "13:30", "20:00", "e343cbc6acd0b924"),
)

CLOSED = (
    ("2018-12-05", "mourning for G. H. W. Bush"),
    ("2025-01-09", "mourning for J. Carter"),
    ("2012-10-29", "hurricane Sandy"),
    ("2012-10-30", "hurricane Sandy"),
    ("2022-06-20", "first Juneteenth, kept on Monday"),
    ("2026-06-19", "Juneteenth"),
    ("2027-06-18", "Juneteenth, kept on Friday"),
    ("2026-07-03", "Independence Day, kept on Friday"),
    ("2021-12-24", "Christmas, kept on Friday"),
    ("2022-12-26", "Christmas, kept on Monday"),
    ("2023-01-02", "New Year's Day, kept on Monday"),
    ("2024-03-29", "Good Friday"),
    ("2025-04-18", "Good Friday"),
    ("2026-04-03", "Good Friday"),
    ("2025-09-01", "Labor Day"),
    ("2020-02-29", "a leap day that is a Saturday"),
)
