"""Runs the cases of a mode inside the machine: `main.py MODE [CASE | --rebooted]`."""

import pathlib
import sys

import apparmor
import selinux
import systemd
from machine import LASTING, Case, Machine, Tally

CASES = {
    "enforcing": selinux.CASES,
    "permissive": selinux.PERMISSIVE,
    "apparmor": apparmor.CASES + systemd.CASES,
}


def main(mode: str, only: str) -> int:
    machine = Machine()
    tally = Tally(mode)
    if only == "--rebooted":
        machine.again(tally)
    else:
        machine.prepare()
        for case in CASES[mode]:
            if case.name.startswith(only):
                run(machine, case, tally)
    tally.write()
    return 1 if tally.failures else 0


def run(machine: Machine, case: Case, tally: Tally) -> None:
    """One case; whatever comes of it, the next one begins from a clean machine."""
    try:
        machine.run(case, tally)
    except Exception as error:  # a case that breaks is a result too
        tally.fail(case, f"{type(error).__name__}: {error}")
    finally:
        machine.tidy(case)


if __name__ == "__main__":
    pathlib.Path(LASTING).parent.mkdir(parents=True, exist_ok=True)
    sys.exit(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""))
