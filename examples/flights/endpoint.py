"""How ``flight-delay`` is released: only with evidence that the model ranks well and beats the base rate."""

import twinloop as tl

GATE = [
    tl.Condition(metric="auc", at_least=0.65),
    tl.Condition(metric="delta_log_loss", at_most=0.0, baseline="model/flight-base-rate"),
]

flight_delay = tl.Endpoint(
    name="flight-delay",
    type="predict",
    pins={"model": "model/flight-delay"},
    gate=GATE,
)
