"""Published weights by name, brought to this machine once: `fetch_weights(name, cache_dir=...)`.

A file grows under `<file>.part` and takes its name when its hash agrees, so that what bears the name is whole. A broken
download is taken up where it ended, if the server still has the same file. A lock keeps two processes from writing
one file. Files that are here are hashed again before each use; they are not asked for again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import http.client
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gesta import __version__
from gesta.models.published import PUBLISHED_WEIGHTS, PublishedFile, PublishedWeights
from gesta.schema import BadInput, GestaError, Refused, UnknownName
from gesta.tables import write_text

Progress = Callable[[str, int, int | None], None]
"""Called as a file grows: its name, its bytes so far, its whole size (None where the server does not say)."""

_CHUNK_BYTES = 1 << 20
_RETRY_S = 0.1
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedWeights:
    """Weights that are here: the file to open, the publication, and the SHA-256 of each file by its path."""

    name: str
    path: Path
    published: PublishedWeights
    paths: Mapping[str, Path]
    sha256: Mapping[str, str]


def weights_folder() -> Path:
    """Where weights are kept: `$GESTA_CACHE/weights`, or `gesta/weights` in `$XDG_CACHE_HOME` or `~/.cache`."""
    if own := os.environ.get("GESTA_CACHE"):
        return Path(own) / "weights"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gesta" / "weights"


def fetch_weights(
    name: str,
    *,
    cache_dir: Path,
    base_url: str | None = None,
    sha256: Mapping[str, str] | None = None,
    published: Mapping[str, PublishedWeights] = PUBLISHED_WEIGHTS,
    on_progress: Progress | None = None,
    timeout_s: float = 30.0,
    patience_s: float = 600.0,
) -> FetchedWeights:
    """The files of published weights, under `cache_dir / name`, each with the hash that it must have.

    Args:
        name: one of `published`.
        cache_dir: the folder of all weights; made where missing.
        base_url: a mirror's address in place of the publication's; the hashes stay.
        sha256: hashes by path that you vouch for, for files of which the publication names none.
        published: publications by name.
        on_progress: called as files grow.
        timeout_s: how long a server may be silent.
        patience_s: how long to wait for another process that fetches the same weights.
    Raises:
        UnknownName: there is no such publication.
        BadInput: the server does not have a file, what it sends has another hash, or no hash is known.
        Refused: another process holds the lock for longer than `patience_s`.
        GestaError: there is no way to the server, it falls silent, or the disk is full.
    """
    if name not in published:
        raise UnknownName(what="published weights", name=name, choices=published)
    entry = published[name]
    address = base_url or entry.base_url
    if not address.startswith(("https://", "http://")):
        raise BadInput(f"{address!r} is no address of a server", mend="Give one that begins with https:// or http://")
    folder = cache_dir / name
    folder.mkdir(parents=True, exist_ok=True)
    paths, sums = {}, {}
    with _locked(folder / ".lock", patience_s=patience_s):
        for file in entry.files:
            path = folder / Path(file.path).name
            want = _Wanted(file=file, vouched=(sha256 or {}).get(file.path), where=f"{name}: {path.name}")
            if not path.is_file():
                _download(
                    f"{address.rstrip('/')}/{file.path}", path, want, on_progress=on_progress, timeout_s=timeout_s
                )
            elif problem := want.problem(path):
                mend = f"Delete it to fetch it again: {path}"
                raise BadInput(f"the file in the cache {problem}", where=want.where, mend=mend)
            paths[file.path], sums[file.path] = path, _hash_of(path, "sha256")
    return FetchedWeights(name=name, path=paths[entry.files[0].path], published=entry, paths=paths, sha256=sums)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What a file must be."""

    file: PublishedFile
    vouched: str | None
    where: str

    def problem(self, path: Path) -> str:
        """What is wrong with the file at `path`, "" for nothing."""
        sha256 = self.file.sha256 or self.vouched
        if sha256 is not None:
            found = _hash_of(path, "sha256")
            return "" if found == sha256.lower() else f"has SHA-256 {found}, and {sha256} is wanted"
        if self.file.git_sha1 is not None:
            found = _git_hash_of(path)
            return "" if found == self.file.git_sha1 else f"has Git's hash {found}, and {self.file.git_sha1} is wanted"
        found = _hash_of(path, "sha256")
        if self.file.sha256_begins is not None:
            begins = self.file.sha256_begins
            return "" if found.startswith(begins) else f"has SHA-256 {found}, and one from {begins} on is wanted"
        return f"has SHA-256 {found}, and none is known to compare it with"


def _hash_of(path: Path, kind: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, kind).hexdigest()


def _git_hash_of(path: Path) -> str:
    """Git's name of a file: SHA-1 over `blob`, the size, a zero byte and the bytes. Source: git-hash-object(1)."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        while part := stream.read(_CHUNK_BYTES):
            digest.update(part)
    return digest.hexdigest()


@contextlib.contextmanager
def _locked(path: Path, *, patience_s: float) -> Iterator[None]:
    """The lock on a folder of weights, which ends with the process that holds it."""
    deadline = time.monotonic() + patience_s
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    mend = "Wait until it has ended, or give another folder"
                    raise Refused("another process is fetching these weights", where=path.parent, mend=mend) from None
                time.sleep(_RETRY_S)
        yield


def _download(url: str, path: Path, want: _Wanted, *, on_progress: Progress | None, timeout_s: float) -> None:
    part = path.with_name(f"{path.name}.part")
    resumed = part.is_file() and part.stat().st_size > 0
    _grow(url, part, want, on_progress=on_progress, timeout_s=timeout_s)
    problem = want.problem(part)
    if problem and resumed:
        # Two halves of different files: begin anew, once.
        _drop(part)
        _grow(url, part, want, on_progress=on_progress, timeout_s=timeout_s)
        problem = want.problem(part)
    if problem:
        is_known = want.file.sha256 or want.file.git_sha1 or want.file.sha256_begins or want.vouched
        mend = "It was deleted; try again, or another base_url"
        if not is_known:
            mend = "It was deleted. If you trust it, fetch it with that value as sha256="
        _drop(part)
        raise BadInput(f"what {url} sent {problem}", where=want.where, mend=mend)
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    part.replace(path)
    _tag(part).unlink(missing_ok=True)


def _tag(part: Path) -> Path:
    """Where the server's name for the version of a part is kept (its ETag)."""
    return part.with_name(f"{part.name}.etag")


def _drop(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag(part).unlink(missing_ok=True)


def _grow(url: str, part: Path, want: _Wanted, *, on_progress: Progress | None, timeout_s: float) -> None:
    """Fetch what `part` still lacks, from its end where the server allows it, from the start elsewhere."""
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": f"gesta/{__version__}", "Accept-Encoding": "identity"}
    tag = _tag(part).read_text() if have and _tag(part).is_file() else ""
    if have:
        headers |= {"Range": f"bytes={have}-"}
        if tag.startswith('"'):
            # Only a strong tag may guard a range (RFC 9110, section 13.1.5). Without one the hash tells whether the
            # halves fit, and a file that does not is fetched anew.
            headers |= {"If-Range": tag}
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 (fetch_weights checked the scheme)
        with urllib.request.urlopen(request, timeout=timeout_s) as reply:  # noqa: S310
            _store(reply, part, want, have=have, on_progress=on_progress)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:  # The part is as long as the file, or longer: the hash tells.
                return
            mend = "See whether the address still holds, or give a mirror's with base_url"
            raise BadInput(f"{url} answered {error.code} {error.reason}", where=want.where, mend=mend) from error
    except TimeoutError as error:
        problem = f"{url} was silent for {timeout_s:g} s"
        raise GestaError(problem, where=want.where, mend="Run it again: it goes on where it stopped") from error
    except urllib.error.URLError as error:
        mend = "See whether this machine has a network, give a mirror's address with base_url, or the path of a file"
        raise GestaError(f"there is no way to {url}: {error.reason}", where=want.where, mend=mend) from error
    except (http.client.HTTPException, ConnectionError, ssl.SSLError) as error:
        problem = f"{url} broke off: {error or type(error).__name__}"
        raise GestaError(problem, where=want.where, mend="Run it again: it goes on where it stopped") from error
    except OSError as error:
        if error.errno not in _FULL_DISK:
            raise
        mend = "Make room and run it again: it goes on where it stopped"
        raise GestaError(f"the disk is full: {error.strerror}", where=want.where, mend=mend) from error


def _store(
    reply: http.client.HTTPResponse, part: Path, want: _Wanted, *, have: int, on_progress: Progress | None
) -> None:
    goes_on = reply.status == http.client.PARTIAL_CONTENT
    if goes_on and not (reply.headers["Content-Range"] or "").startswith(f"bytes {have}-"):
        _drop(part)
        raise http.client.HTTPException("another part was sent than was asked for")
    have = have if goes_on else 0
    length = reply.headers["Content-Length"]
    whole = have + int(length) if length else want.file.size_bytes
    free = shutil.disk_usage(part.parent).free
    if whole is not None and whole - have > free:
        problem = f"{whole - have} bytes are to come and {free} are free in {part.parent}"
        raise OSError(errno.ENOSPC, problem)
    if not goes_on:
        _tag(part).unlink(missing_ok=True)
        if tag := reply.headers["ETag"]:
            write_text(_tag(part), tag)
    with part.open("ab" if goes_on else "wb") as stream:
        while chunk := reply.read(_CHUNK_BYTES):
            stream.write(chunk)
            have += len(chunk)
            if on_progress is not None:
                on_progress(part.name.removesuffix(".part"), have, whole)
    if length and whole is not None and have < whole:
        raise ConnectionError(f"{have} of {whole} bytes came")
