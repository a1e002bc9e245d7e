"""The registry from a program: cards, notes, approvals, history and differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from twinloop.sdk.client import Client

Json = dict[str, Any]


class Registry:
    """Models, prompts and everything else by ``kind/name``, and one revision of it by ``kind/name@number``."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def cards(self, kind: str | None = None, filter: str = "", order_by: str = "") -> Iterator[Json]:
        """Cards that are not deleted, by title; ``filter`` such as ``name LIKE 'c%' AND tags.team = 'x'``."""
        query: Json = {"kind": kind, "filter": filter, "order_by": order_by, "limit": 500}
        while True:
            page = self._client.call("GET", "/api/v1/cards", query=query)
            yield from page["cards"]
            if page["next"] is None:
                return
            query["token"] = page["next"]

    def card(self, ref: str) -> Json:
        """The card of ``kind/name``: title, description, tags, aliases, and the highest revision at each stage."""
        return self._client.call("GET", f"/api/v1/cards/{ref}")

    def change(
        self,
        ref: str,
        title: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        approvals: int | None = None,
    ) -> Json:
        """Change a card; None leaves what it is. A tag that is None is taken away.

        ``approvals`` is how many principals must approve a revision before it goes live; it needs the role releaser.
        """
        body = {"title": title, "description": description, "tags": dict(tags or {}), "approvals": approvals}
        return self._client.call("PATCH", f"/api/v1/cards/{ref}", body)

    def note(self, ref: str) -> Json:
        """What is noted about one revision: description, tags, stage, status."""
        return self._client.call("GET", f"/api/v1/notes/{ref}")

    def annotate(
        self,
        ref: str,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        stage: str | None = None,
        archive_others: bool = False,
    ) -> Json:
        """Change what is noted about ``kind/name@number``; None leaves what it is."""
        body = {
            "description": description,
            "tags": dict(tags or {}),
            "stage": stage,
            "archive_others": archive_others,
        }
        return self._client.call("PATCH", f"/api/v1/notes/{ref}", body)

    def delete(self, ref: str) -> None:
        """Take ``kind/name``, or one revision of it, out of sight; the history and its digests stay.

        Raises:
            Refused: a release that answers, or that a rollback returns to, pins it.
        """
        area = "revisions" if "@" in ref else "cards"
        self._client.call("DELETE", f"/api/v1/{area}/{ref}")

    def approve(self, ref: str, comment: str = "") -> Json:
        """Say yes to a revision that somebody else registered; this takes back an earlier no."""
        return self._client.call("POST", "/api/v1/approvals", {"ref": ref, "approved": True, "comment": comment})

    def reject(self, ref: str, comment: str = "") -> Json:
        """Say no: the revision cannot go live until the same principal approves it."""
        return self._client.call("POST", "/api/v1/approvals", {"ref": ref, "approved": False, "comment": comment})

    def approvals(self, ref: str) -> Json:
        """Who said what of a revision, how many must agree, and whether that is enough."""
        return self._client.call("GET", f"/api/v1/approvals/{ref}")

    def history(self, ref: str) -> Iterator[Json]:
        """What happened to ``kind/name`` or ``kind/name@number``, newest first.

        A release's entry has its ``period``: at which endpoint the revision answered, from when until when, who moved it
        there, why, and the gate it passed.
        """
        query: Json = {"limit": 500}
        while True:
            page = self._client.call("GET", f"/api/v1/history/{ref}", query=query)
            yield from page["entries"]
            if page["next"] is None:
                return
            query["token"] = page["next"]

    def diff(self, before: str, after: str) -> Json:
        """How the manifests of two revisions of one kind differ, place by place."""
        return self._client.call("GET", "/api/v1/diff", query={"from": before, "to": after})
