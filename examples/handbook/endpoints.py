"""How the endpoints are released: the chat only when its index finds what it holds."""

import twinloop as tl

# The whole interval must lie above the bound, and with 400 queries it reaches about 0.045 below the value.
GATE = [tl.Condition(metric="known_item_recall_at_5", at_least=0.7)]

handbook = tl.Endpoint(
    name="handbook",
    type="chat",
    pins={"prompt": "prompt/handbook", "generator": "generator/smollm2", "index": "index/handbook"},
    gate=GATE,
)

minilm = tl.Endpoint(name="minilm", type="embed", pins={"embedder": "embedder/minilm"})
