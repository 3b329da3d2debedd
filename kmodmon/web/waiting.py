"""The connections that have not asked for anything yet: silent ones, half a head, a TLS handshake under way."""

from typing import Generic, TypeVar

T = TypeVar("T")


class WaitingClients(Generic[T]):
    """Keeps who waits, by client address, in the order of their arrival."""

    def __init__(self) -> None:
        self._by_address: dict[str, dict[T, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, address: str, connection: T) -> None:
        """Add a connection that has just been accepted."""
        self._by_address.setdefault(address, {})[connection] = None
        self._count += 1

    def discard(self, address: str, connection: T) -> None:
        """Remove a connection that has asked or ended, if it is here."""
        same = self._by_address.get(address, {})
        if connection in same:
            del same[connection]
            self._count -= 1
            if not same:
                del self._by_address[address]

    def longest(self) -> T | None:
        """The oldest connection of the address that has the most; None: nobody waits."""
        most = max(self._by_address, key=lambda address: len(self._by_address[address]), default=None)
        return None if most is None else next(iter(self._by_address[most]))
