"""What an operator decides: where the service listens, who may ask, and how much."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from echoic.errors import UsageError, quoted
from echoic.machine import n_cores
from echoic.server.keys import Keys

__all__ = ["Settings", "is_loopback"]


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself, as nobody else reaches it.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a library is served.

    Parameters
    ----------
    library : Path
        The library's folder.
    host : str
        Address to listen at.
    port : int
        0: whichever is free.
    keys : Keys, optional
        Who may ask for what; without them whoever reaches the service may do everything.
    names : tuple of str
        Further names that the service is called by, in the Host header: those of a reverse proxy.
    folders : tuple of Path
        What may be indexed over HTTP: these folders and what lies in them.
    max_files : int, optional
        That the library may hold; indexing over HTTP leaves out new ones beyond them, and says so.
    max_upload : int
        Bytes of sound that a request may bring.
    max_seconds : float
        Sound that is listened to for one request.
    n_threads, n_waiting : int
        Requests that are worked on at once, and those that wait for a thread; more are turned away.
    rate : int, optional
        Requests that a client may make in a minute: whoever has a key, or else an address.
    upload_seconds : float
        How long a request may take to bring its sound.
    n_listeners : int
        Who may listen to what plays, at once.
    heartbeat : float
        Seconds after which a stream of events without any gives a sign of life.

    Raises
    ------
    UsageError
        If the service would be open to a network without keys, or there is no such folder.
    """

    library: Path
    host: str = "127.0.0.1"
    port: int = 8765
    keys: Keys | None = None
    names: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    max_files: int | None = None
    max_upload: int = 64 << 20
    max_seconds: float = 1800.0
    n_threads: int = field(default_factory=n_cores)
    n_waiting: int = 32
    rate: int | None = None
    upload_seconds: float = 60.0
    n_listeners: int = 8
    heartbeat: float = 15.0

    def __post_init__(self) -> None:
        for folder in self.folders:
            if not folder.is_dir():
                raise UsageError(f"{quoted(folder)} is no folder that could be indexed; check the path")
        if self.keys is None and not is_loopback(self.host):
            raise UsageError(
                f"{self.host} can be reached from other machines; make a key with --new-key read and "
                "--key-file FILE, and serve with that --key-file"
            )

    @property
    def hosts(self) -> frozenset[str]:
        """The names, in small letters, that a request may call the service by."""
        own = {"localhost", "127.0.0.1", "::1"}
        return frozenset(name.lower() for name in (*own, self.host, *self.names))
