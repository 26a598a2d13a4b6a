#!/usr/bin/env python3
"""Kills `duet chat --doc` at random moments while it indexes, and checks that the index opens and goes on.

    tools/bench/kill_indexing.py FOLDER --duet .build/release/duet [--kills 20]

FOLDER as make_texts.py makes it, 20 MB or more. First an index is made undisturbed. Then one is killed with SIGKILL
again and again; after each kill the SQLite file is opened and checked (integrity_check, and FTS5's own), and no
fewer files may be in it than before. At last it is finished, and must hold the same passages as the first, found by
the same words.
"""

import argparse
import glob
import json
import os
import random
import signal
import sqlite3
import subprocess
import tempfile
import time


def command(duet, folder):
    return [duet, "chat", "--json", "--max-tokens", "1", "--doc", folder, "--", "what is the first city of the state"]


def environment(home):
    return {**os.environ, "XDG_DATA_HOME": home, "XDG_CACHE_HOME": home, "DUET_MODELS": MODELS}


MODELS = os.environ.get("DUET_MODELS") or os.path.expanduser("~/.local/share/duet/models")


def run(duet, folder, home):
    start = time.perf_counter()
    result = subprocess.run(command(duet, folder), env=environment(home), stdin=subprocess.DEVNULL, capture_output=True)
    if result.returncode:
        raise SystemExit("duet failed: " + result.stderr.decode()[-300:])
    return time.perf_counter() - start, json.loads(result.stdout)


def index(home):
    found = [path for path in glob.glob(home + "/**/*", recursive=True) if path.endswith((".sqlite", ".db"))]
    return found[0] if found else None


def contents(path):
    """Files and passages of the index, after both checks."""
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%USING fts5(%'").fetchall():
            database.execute(f"INSERT INTO {table}({table}, rank) VALUES ('integrity-check', 1)")
        database.rollback()
        files = database.execute("SELECT count(*) FROM files").fetchone()[0]
        return files, database.execute(
            "SELECT path, ordinal, text FROM chunks JOIN files ON files.id = file_id ORDER BY 1, 2").fetchall()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--duet", required=True)
    parser.add_argument("--kills", type=int, default=20)
    arguments = parser.parse_args()
    rng = random.Random(3)
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as home:
        seconds, answer = run(arguments.duet, arguments.folder, whole)
        _, expected = contents(index(whole))
        print(f"undisturbed: {len(expected)} passages, {seconds:.1f} s")
        before = killed = 0
        while killed < arguments.kills:
            process = subprocess.Popen(
                command(arguments.duet, arguments.folder), env=environment(home), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0.02, 0.25 * seconds))
            process.send_signal(signal.SIGKILL)
            if process.wait() != -signal.SIGKILL:
                before = 0  # it was done; begin again
                for path in glob.glob(index(home) + "*"):
                    os.remove(path)
                continue
            killed += 1
            path = index(home)
            if path and os.path.getsize(path):
                files, passages = contents(path)
                assert files >= before, f"{before} files became {files}"
                before = files
                print(f"kill {killed}: {files} files, {len(passages)} passages", flush=True)
        _, again = run(arguments.duet, arguments.folder, home)
        assert contents(index(home))[1] == expected, "the finished index differs"
        assert again["sources"] == answer["sources"] if "sources" in answer else True
        print(f"{killed} kills: every index opened and went on; finished, it equals the undisturbed one")


main()
