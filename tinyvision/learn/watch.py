"""Watch mode: check an exercise when its file is saved, and answer to single keys.

Files are polled, which works over ssh, on network drives, and with editors that save by renaming a new file over the
old one: what counts is that the text changed. A file may vanish for a moment.
"""

import os
import time
from typing import Any

from ..errors import TinyVisionError
from . import course, show
from .attempt import judge
from .course import Exercise
from .folder import Folder, shown
from .keys import END, listening
from .process import LIMIT, Worker

POLL = 0.1  # seconds between two looks at the files
VANISHED = 1.5  # seconds after which a missing file is not being saved but gone
KEYS = "n next  h hint  d diagnose  l list  v picture  x reset  s solution  q quit"


def picture_path(folder: Folder, one: Exercise) -> Any:
    """Where the picture of an exercise's last failure is written."""
    return folder.path / "pictures" / f"{one.name}.html"


class _Session:
    def __init__(self, folder, start, limit):
        self.folder, self.limit = folder, limit
        self.one = start or folder.next() or course.exercises()[0]
        self.answer = None
        self.worker = Worker()
        self.seen = {e.name: self._look(e) for e in course.exercises()}
        self.settling, self.gone = {}, {}

    def _look(self, one):
        """What tells a saved file from the same file before: None while it is not there."""
        try:
            found = os.stat(self.folder.file(one))
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def saved(self):
        """The exercise whose file has been saved since the last look, or None."""
        for one in course.exercises():
            look = self._look(one)
            if look is None:
                self._missing(one)
                continue
            self.gone.pop(one.name, None)
            if look != self.seen[one.name]:
                if look == self.settling.get(one.name):
                    self.seen[one.name] = look
                    return one
                self.settling[one.name] = look  # an editor may be in the middle of writing: it has to stay like this
        return None

    def _missing(self, one):
        since = self.gone.setdefault(one.name, time.monotonic())
        if one is self.one and since is not None and time.monotonic() - since > VANISHED:
            self.gone[one.name] = None  # said once
            self.seen[one.name] = None
            print(show.wrap(f"{one.file} is gone. Save it again, or press x to put the skeleton back."), flush=True)

    def check(self):
        """Judge the current exercise and show how it went."""
        print(f"\n{'-' * 78}\n{show.title(self.one)}", flush=True)
        if show.page_link(self.one):
            print(show.page_link(self.one), flush=True)
        try:
            self.answer = judge(self.folder, self.one, self.worker, self.limit)
        except TinyVisionError as error:
            self.answer = None
            print(show.wrap(str(error)), flush=True)
            return
        print(show.attempt(self.one, self.answer, self.answer["untouched"]))
        self.prompt()
        self.worker.start()  # warm for the next save

    def prompt(self):
        """The line of keys, with the file to edit."""
        print()
        if self.answer is not None and self.answer["passed"]:
            following = self.folder.after(self.one)
            if following is None:
                print("   That was the last one: the whole course is solved.")
            else:
                print(f"   n goes on with {following.name}.")
        else:
            print(f"   Edit {shown(self.folder.file(self.one))} and save it.")
        print(f"   {KEYS}", flush=True)

    def press(self, key, keys):
        """Do what a key stands for; returns False to quit."""
        if key in ("q", END):
            return False
        action = {
            "n": self.next, "h": self.hint, "d": self.diagnose, "l": self.list, "v": self.picture, "r": self.check,
            "x": lambda: self.reset(keys), "s": lambda: self.solution(keys),
        }.get(key, self.prompt)  # fmt: skip
        try:
            action()
        except TinyVisionError as error:
            print(show.wrap(str(error)), flush=True)
        return True

    def next(self):
        """Go on to the next exercise that is not solved."""
        following = self.folder.after(self.one)
        if following is None:
            print("   The whole course is solved.", flush=True)
            return
        if following is self.one:
            print(f"   {self.one.name} is the only one left.", flush=True)
            return
        self.one = following
        self.check()

    def hint(self):
        """The next hint."""
        number, text = self.folder.hint(self.one)
        print(show.wrap(text, f"   hint {number} of {len(self.one.hints)}: ", "   "), flush=True)

    def diagnose(self):
        """The last attempt, said plainly."""
        if self.answer is None:
            self.check()
        if self.answer is not None:
            print(show.diagnosis(self.one, self.answer), flush=True)

    def list(self):
        """All exercises."""
        print(show.table(self.folder), flush=True)

    def picture(self):
        """The last attempt as an HTML page."""
        path = picture_path(self.folder, self.one)
        path.parent.mkdir(exist_ok=True)
        answer = judge(self.folder, self.one, self.worker, self.limit, html=path, remember=False)
        print(show.wrap(show.picture(answer, path)), flush=True)
        self.worker.start()

    def reset(self, keys):
        """The skeleton again, after a confirmation."""
        print(f"   Put the skeleton of {self.one.name} back? Your file is kept as a backup. y/n ", flush=True)
        if not _yes(keys):
            print("   Nothing was changed.", flush=True)
            return
        backup = self.folder.reset(self.one)
        self.seen[self.one.name] = self._look(self.one)
        print(f"   {self.one.file} is as it was at first." + (f" Yours is in {backup}." if backup else ""), flush=True)
        self.check()

    def solution(self, keys):
        """The solution, after a pass, or after three tries and a confirmation."""
        refused = self.folder.solution_refused(self.one)
        if refused:
            print(show.wrap(refused[0].upper() + refused[1:] + "."), flush=True)
            return
        if not self.folder.passed(self.one):
            print(f"   Show the solution of {self.one.name}? y/n ", flush=True)
            if not _yes(keys):
                return
        print(self.one.solution(), flush=True)


def _yes(keys):
    while True:
        key = keys.get(0.5)
        if key is not None:
            return key == "y"


def watch(folder: Folder, start: Any = None, limit: float = LIMIT) -> Any:
    """Check the current exercise at once, then whenever it is saved, until q or Ctrl-C.

    Where standard input is no terminal, keys are read from its lines, and its end is the end."""
    with listening() as keys:
        session = _Session(folder, start, limit)
        try:
            print(show.progress(folder))
            session.check()
            while True:
                key = keys.get(POLL)
                if key is not None and not session.press(key, keys):
                    print(show.progress(folder), flush=True)
                    return
                saved = session.saved()
                if saved is not None:
                    session.one = saved
                    session.check()
        finally:
            session.worker.close()
