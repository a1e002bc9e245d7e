"""From the published tables to what was known when. All times are UTC unless a name says local."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

# Local clocks at both ends give the time in the air only modulo a day, and only when zones are known; flights leaving New
# York never take a day. Four airports of Puerto Rico and the Virgin Islands are missing from the airports table: they keep
# Atlantic time (UTC-4) all year. An arrival counts as known 15 minutes after landing, a departure 5 minutes after it
# happened and never before its scheduled time, so that a flight which left early tells nothing about itself.
_FLIGHTS = """
CREATE TABLE flown AS
WITH timed AS (
    SELECT f.*,
        make_date(f.year, f.month, f.day) AS date,
        f.time_hour + to_minutes(f.minute) AS "at",
        date_diff('hour', f.time_hour, make_timestamp(f.year, f.month, f.day, f.hour, 0, 0)) AS zone_here,
        coalesce(a.tz, -4) AS zone_there,
        coalesce(a.dst, 'N') = 'A' AS saves_there
    FROM flights f LEFT JOIN airports a ON a.faa = f.dest
), clocked AS (
    SELECT *,
        zone_there + CASE WHEN saves_there AND zone_here = -4 THEN 1 ELSE 0 END - zone_here AS zone_ahead,
        "at" + to_minutes(dep_delay) AS departed_at,
        (arr_time // 100 * 60 + arr_time % 100) - (dep_time // 100 * 60 + dep_time % 100) AS local_minutes
    FROM timed
)
SELECT *,
    departed_at + to_minutes(greatest((local_minutes - zone_ahead * 60 + 2880) % 1440, air_time)::BIGINT) AS landed_at
FROM clocked
"""

_TABLES = {
    "schedule": """
        SELECT carrier, flight, origin, date, "at" - INTERVAL 7 DAY AS published_at, dest, tailnum, hour,
            isodow(date) AS weekday, distance
        FROM flown ORDER BY "at", carrier, flight, origin""",
    "landings": """
        SELECT carrier, origin, dest, landed_at + INTERVAL 15 MINUTE AS known_from, arr_delay > 15 AS late, arr_delay
        FROM flown WHERE arr_delay IS NOT NULL AND landed_at IS NOT NULL ORDER BY landed_at, carrier, flight""",
    "departures": """
        SELECT origin, greatest(departed_at, "at") + INTERVAL 5 MINUTE AS known_from, dep_delay
        FROM flown WHERE departed_at IS NOT NULL ORDER BY departed_at, carrier, flight""",
}

_LABELS = """
    SELECT carrier, flight, origin, date, "at", arr_delay > 15 AS late
    FROM flown WHERE arr_delay IS NOT NULL AND month BETWEEN {first} AND {last} ORDER BY "at", carrier, flight, origin
"""


def read(folder: Path) -> dict[str, pa.Table]:
    """The published tables in ``folder``, with times in UTC."""
    from twinloop.sdk import tables

    files = {"flights": "flights.csv.zip", "weather": "weather.csv", "planes": "planes.csv", "airports": "airports.csv"}
    return {name: tables.canonical(tables.arrow(folder / file)) for name, file in files.items()}


class Flown:
    """Flights with their moments, and the tables cut from them."""

    def __init__(self, flights: pa.Table, airports: pa.Table) -> None:
        import duckdb

        self._connection = duckdb.connect(":memory:", config={"threads": 2})
        self._connection.register("flights", flights)
        self._connection.register("airports", airports)
        self._connection.execute(_FLIGHTS)

    def table(self, name: str) -> pa.Table:
        """``schedule``, ``landings`` or ``departures``."""
        return self._arrow(_TABLES[name])

    def labels(self, first: int, last: int) -> pa.Table:
        """Whether each flight of the months ``first`` to ``last`` arrived more than 15 minutes late.

        Flights that were cancelled or diverted did not arrive and have no label.
        """
        return self._arrow(_LABELS.format(first=first, last=last))

    def _arrow(self, query: str) -> pa.Table:
        return self._connection.sql(query).to_arrow_table()
