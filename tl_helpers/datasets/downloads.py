"""Files from the network: continued where they stopped, checked, and renamed when they are whole.

Lesson 09 opens this file.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import sys
import tarfile
import time
import zipfile
from pathlib import Path

from ..engine.validate import shown

TRIES, PAUSE, STALL = 5, 1.0, 30.0  # attempts; seconds before the second of them; seconds without a byte


def download(url: str, to: Path, md5: str | None = None) -> Path:
    """A file from the network, with a bar of size, speed and time left. It grows as `.part` and is renamed when it is whole.

    A part that is there already is continued. torchvision's and torch.hub's downloads do neither that nor have a timeout.

    Raises:
        ConnectionError: it cannot be fetched, or is not the file that the sum names. The message is the reason only.
        OSError: it cannot be written.
    """
    part, anew = part_of(to), False
    to.parent.mkdir(parents=True, exist_ok=True)
    if to.exists() and (md5 is None or md5_of(to) == md5):
        return to
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        reason, hopeless = _attempt(url, part)
        if reason is None and md5 is not None and md5_of(part) != md5:
            part.unlink()
            reason, hopeless = "its sum (md5) is not the one it should have, so another file or a damaged one came", anew
            anew = True
        if reason is None:
            os.replace(part, to)
            return to
        if hopeless:
            break
    raise ConnectionError(f"{url}: {reason}")


def unpack(file: Path, folder: Path, most: int) -> None:
    """Unpack a .zip, a .tar.gz or a single .gz into a folder: nothing outside it, no links, and at most so many bytes.

    tarfile's own filter does the first since Python 3.11.4, and nothing does the last.

    Raises:
        ValueError: it holds something else. The message is the reason only.
    """
    with contextlib.ExitStack() as opened:
        if file.suffix == ".zip":
            archive = opened.enter_context(zipfile.ZipFile(file))
            members = [(member.filename, member.file_size, member) for member in archive.infolist() if not member.is_dir()]
        elif file.name.endswith(".tar.gz"):
            archive = opened.enter_context(tarfile.open(file))
            members = [(member.name, member.size, member) for member in archive if not member.isdir()]
        else:
            archive, members = None, [(file.stem, 0, None)]
        if sum(size for _, size, _ in members) > most:
            raise ValueError(f"it would grow beyond {most / 10**6:.0f} MB")
        for name, _, member in members:
            to = (folder / name).resolve()
            if folder.resolve() not in to.parents or member is not None and getattr(member, "type", b"0") not in b"0\0":
                raise ValueError(f"it holds {shown(name)}, which is no plain file in its folder")
            to.parent.mkdir(parents=True, exist_ok=True)
            if archive is None:
                source = gzip.open(file)
            else:
                source = archive.extractfile(member) if isinstance(archive, tarfile.TarFile) else archive.open(member)
            with source, open(to, "wb") as target:
                while part := source.read(2**20):
                    most -= len(part)
                    if most < 0:
                        raise ValueError("it grows beyond what it should be")
                    target.write(part)


def part_of(to: Path) -> Path:
    return to.with_name(f"{to.name}.part")


def md5_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _attempt(url: str, part: Path) -> tuple[str | None, bool]:
    """Fetch the rest of a file. Returns (None, False) when it is whole, else (what went wrong, whether to give up)."""
    import requests

    have = part.stat().st_size if part.exists() else 0
    ask = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    total = None
    try:
        with requests.get(url, stream=True, timeout=(10, STALL), headers=ask) as answer:
            code = answer.status_code
            if code == 416:  # the part is as long as the file, or longer
                whole = answer.headers.get("Content-Range", "") == f"bytes */{have}"
                if not whole:
                    part.unlink()
                return (None if whole else "another file stands there now"), False
            if code not in (200, 206):
                return f"the server answers {code} ({answer.reason})", 400 <= code < 500 and code not in (408, 429)
            have = have if code == 206 else 0
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length else None
            bar = progress_bar(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem)
            with open(part, "ab" if have else "wb") as file, bar:
                for chunk in answer.iter_content(1 << 14):
                    file.write(chunk)
                    bar.update(len(chunk))
                    have += len(chunk)
    except requests.Timeout:
        if total is None:  # a network, or the proxy before it, that swallows whatever is sent
            return "there is no answer (is there a network, or a proxy that hangs?)", not have
        return f"nothing came for {STALL:g} seconds", False
    except (requests.RequestException, RuntimeError):  # a blocked network may show as the latter
        if total is None:
            return "there is no connection", not have
        return f"the connection broke after {have / 1e6:.0f} of {total / 1e6:.0f} MB", False
    if total is not None and have < total:
        return f"the connection broke after {have / 1e6:.0f} of {total / 1e6:.0f} MB", False
    return None, False


def progress_bar(total: int | None, unit: str, desc: str, least: int = 0, **more):
    """A progress bar where somebody watches, if there is at least so much to do."""
    from tqdm.auto import tqdm

    watched = sys.stderr.isatty() or tqdm.__name__ == "tqdm_notebook"
    hidden = not watched or (total is not None and total < least)
    return tqdm(total=total, unit=unit, desc=desc, disable=hidden, leave=False, **more)
