#!/usr/bin/env python3
"""Holds docs/compliance-*.md against the tree: files and tests named there exist, each row has what its state asks for,
and the tally counts the rows. Of docs/exchanges.md, too, that its tests exist."""
import pathlib, re, sys

# Where a path on the page may begin.
BASES = [pathlib.Path(base) for base in (".", "control/ike", "control/ike/src")]
SHOWN, REASONED = {"obeyed", "in part"}, {"in part", "declined", "not yet", "no case"}
REFERENCE = re.compile(r"`([\w./-]+\.(?:rs|sh))(?:::(\w+))?`")


def rows(text):
    """Line number and cells of each sentence; their tables have six columns, of which the first is a section."""
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 6 and re.match(r"\d|[A-Z]\.", cells[0]):
            yield number, cells


def missing(name, test):
    """What of a reference is not there."""
    path = next((base / name for base in BASES if (base / name).is_file()), None)
    if not path:
        return f"there is no file {name}"
    if test and not re.search(rf"#\[test\]\s+fn {test}\b", path.read_text()):
        return f"{name} has no test {test}"


def faults(cells):
    _, _, _, state, where, shown = cells
    yield from filter(None, (missing(*found) for found in REFERENCE.findall(where + shown)))
    reason = re.search(r"\w", REFERENCE.sub("", shown))
    if state not in SHOWN | REASONED:
        yield f"{state!r} is no state"
    if state in SHOWN and not REFERENCE.search(where):
        yield "no code is named that obeys it"
    if state in SHOWN and not (REFERENCE.search(shown) or reason):
        yield "neither a test nor a reason is given"
    if state in REASONED and not reason:
        yield "no reason is given"


def wrong_tallies(text, states):
    for state in sorted(SHOWN | REASONED):
        told = re.search(rf"^\| {state} \| (\d+) \|", text, re.M)
        if not told or int(told[1]) != states.count(state):
            yield f"the tally of {state!r} is {told[1] if told else 'missing'}, the rows are {states.count(state)}"


def main():
    wrong = []
    for page in sorted(pathlib.Path("docs").glob("compliance-*.md")):
        text = page.read_text()
        found = list(rows(text))
        wrong += [f"{page}:{number}: {fault}" for number, cells in found for fault in faults(cells)]
        wrong += [f"{page}: {fault}" for fault in wrong_tallies(text, [cells[3] for _, cells in found])]
    exchanges = pathlib.Path("docs/exchanges.md")
    named = REFERENCE.findall(exchanges.read_text())
    wrong += [f"{exchanges}: {fault}" for found in named for fault in [missing(*found)] if fault]
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return bool(wrong)


sys.exit(main())
