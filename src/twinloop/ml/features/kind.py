"""The registry's view of kind ``feature_view``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from twinloop.core.digests import Digest
from twinloop.core.errors import InvalidInput
from twinloop.ml.features.model import KIND, FeatureView, check_view


def read_view(manifest: Mapping[str, Any]) -> FeatureView:
    """Raises InvalidInput, naming the field, when ``manifest`` is not a view's declaration."""
    try:
        view = msgspec.convert(manifest, FeatureView)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"This is not a feature view: {error}. Declare one with twinloop.FeatureView.") from error
    check_view(view)
    return view


class FeatureViewKind:
    name = KIND

    def validate(self, manifest: Mapping[str, Any]) -> None:
        read_view(manifest)

    def requires(self, manifest: Mapping[str, Any]) -> Sequence[Digest]:
        return ()
