"""When each client last got a token, remembered for people and written at most daily, so that tokens cost no write."""

from datetime import datetime, timedelta

INTERVAL = timedelta(days=1)


class LastTokens:
    """What was seen and what of it is not written yet. Not for more than one thread."""

    def __init__(self) -> None:
        self._seen: dict[str, datetime] = {}
        self._due: dict[str, datetime] = {}

    def record(self, client_id: str, at: datetime) -> None:
        seen = self._seen.get(client_id)
        if seen is None or at - seen >= INTERVAL:
            self._seen[client_id] = self._due[client_id] = at

    def forget(self, client_id: str) -> None:
        """Another object may have the id now: its first token counts as such."""
        self._seen.pop(client_id, None)

    def due(self) -> dict[str, datetime]:
        return dict(self._due)

    def written(self, saved: dict[str, datetime]) -> None:
        """Call once `saved` is durable; what was recorded meanwhile stays due."""
        self._due = {k: v for k, v in self._due.items() if saved.get(k) != v}
