"""Paths for a server that runs as `nobody` because we are root.

A clone below root's home is closed to everyone else. Then the programs are copied, and the data lives, in a directory
of root's below /var/tmp that others may enter.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from services.common.errors import UserError

_SHELTER = Path("/var/tmp/clickstream-embedded")  # noqa: S108 (its owner is checked)


def package_for_everyone(package: Path) -> Path:
    """The package of programs itself if others may run them, else a copy of it (some 40 MB, made once)."""
    if may_enter(package) and all(map(may_read, package.rglob("*"))):
        return package
    copy = _shelter() / f"programs-{_fingerprint(package)}"
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(dir=copy.parent))
        # The wheel keeps shared libraries beside the package, where the programs look for them.
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, unfinished / part.name, symlinks=True)
        _open(unfinished)
        try:
            unfinished.replace(copy)
        except OSError:
            shutil.rmtree(unfinished)
            if not copy.exists():  # else another run was faster
                raise
    return copy / package.name


def data_for_everyone(folder: Path) -> Path:
    """The data folder itself if others may come to it, else one in our shelter, linked from there."""
    if may_enter(folder.parent):
        return folder
    home = _shelter() / _name_of(folder)
    if not _leads_home(folder):
        shutil.rmtree(home, ignore_errors=True)  # of a data directory that is no more
        folder.unlink(missing_ok=True)
        folder.symlink_to(home)
    return home


def forget(folder: Path) -> None:
    """Remove a data folder, also where we linked it to our shelter; of any other link only the link."""
    if _leads_home(folder):
        shutil.rmtree(_SHELTER / _name_of(folder), ignore_errors=True)
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _name_of(folder: Path) -> str:
    return f"data-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"


def _leads_home(folder: Path) -> bool:
    return folder.is_symlink() and folder.readlink() == _SHELTER / _name_of(folder)


def may_enter(folder: Path) -> bool:
    """Others may pass every directory on the way, and this one."""
    folder = folder.resolve()
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents))


def may_read(path: Path) -> bool:
    """Others may read the file (and execute it, if its owner may), or enter the directory."""
    mode = path.stat().st_mode
    needed = stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
    return mode & needed == needed


def _shelter() -> Path:
    """A directory that only we can write and everyone can enter.

    Raises:
        UserError: another account made it before us.
    """
    path = _SHELTER
    path.mkdir(mode=0o711, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise UserError(f"{path} belongs to someone else: remove it, or run as a normal user")
    path.chmod(0o711)
    return path


def _fingerprint(package: Path) -> str:
    """Differs when another version is installed, or elsewhere."""
    return hashlib.sha256(f"{package} {package.stat().st_mtime_ns}".encode()).hexdigest()[:16]


def _open(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if path.is_dir() or mode & stat.S_IXUSR else 0))
