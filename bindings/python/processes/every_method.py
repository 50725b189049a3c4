"""One rank of test_every_method.py: every method and share in every division, two rounds of a sequence each.

every_method.py TRANSPORT
"""

from __future__ import annotations

import sys

from joining_rank import HEADS, LAYERS, Rank
from peers import peers, write

import kvsieve
from cases import DIVISIONS, ROUNDS, shares
from kvsieve import distributed


def main() -> None:
    here = peers(sys.argv[1])
    found = {}
    for division, parts in DIVISIONS[here.ranks].items():
        part = parts[here.rank]
        for method in kvsieve.methods():
            for share in shares(method):
                own = Rank(part, method, share=share)
                place = {"first_layer": part.layers.start, "first_head": part.heads.start}
                distributed.join(own.plan, here.group, layers=LAYERS, heads=HEADS, **place)
                found[f"{division} / {method.name} / {share}"] = [own.go(new) for new in ROUNDS]
    write(here.rank, found)


if __name__ == "__main__":
    main()
