"""Features of a flight, as known at its scheduled departure. Order matters: the schedule gives the keys of the rest."""

import twinloop as tl

schedule = tl.FeatureView(
    name="schedule",
    source="schedule",
    entities=["carrier", "flight:int64", "origin", "date:date"],
    event_time="published_at",
    ttl="8d",
    required=True,
    features=[
        tl.Column("dest", type="string"),
        tl.Column("tailnum", type="string"),
        tl.Column("hour", type="int64"),
        tl.Column("weekday", type="int64"),
        tl.Column("distance"),
    ],
)

route_delays = tl.FeatureView(
    name="route_delays",
    source="landings",
    entities=["origin", "dest"],
    event_time="known_from",
    ttl="7d",
    features=[
        tl.Rate("route_late_1d", of="late", window="1d"),
        tl.Rate("route_late_14d", of="late", window="14d"),
        tl.Mean("route_delay_14d", of="arr_delay", window="14d"),
    ],
)

carrier_delays = tl.FeatureView(
    name="carrier_delays",
    source="landings",
    entities=["carrier"],
    event_time="known_from",
    ttl="7d",
    features=[
        tl.Rate("carrier_late_6h", of="late", window="6h"),
        tl.Rate("carrier_late_14d", of="late", window="14d"),
    ],
)

airport_now = tl.FeatureView(
    name="airport_now",
    source="departures",
    entities=["origin"],
    event_time="known_from",
    ttl="6h",
    features=[
        tl.Mean("origin_dep_delay_1h", of="dep_delay", window="1h"),
        tl.Mean("origin_dep_delay_3h", of="dep_delay", window="3h"),
        tl.Count("origin_departures_1h", window="1h"),
    ],
)

# An observation is labelled with the hour in which it was made, at about ten minutes to the next one, so it counts as
# known only an hour after its label.
weather = tl.FeatureView(
    name="weather",
    source="weather",
    entities=["origin"],
    event_time="time_hour",
    delay="1h",
    ttl="6h",
    features=[
        tl.Column("temp"),
        tl.Column("humid"),
        tl.Column("wind_speed"),
        tl.Column("precip"),
        tl.Column("pressure"),
        tl.Column("visib"),
    ],
)

planes = tl.FeatureView(
    name="planes",
    source="planes",
    entities=["tailnum"],
    features=[tl.Column("built", of="year"), tl.Column("seats")],
)

VIEWS = [schedule, route_delays, carrier_delays, airport_now, weather, planes]
