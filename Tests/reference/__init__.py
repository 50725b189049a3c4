"""The methods a second time: a file each, float64, naive, from the formulas (Sources/KVSieveMethods/README.md). No code is
shared with the library, and no number: numbers like D3 are the decisions.

<method>.py has
    DEFAULTS          every parameter with its default, but for those of SAME_FOR_ALL
    protected(p)      tokens that a head always keeps
    choose(round)     the rows that each head keeps of a round; a prompt is a round in which all rows are new
    draw(rng, tokens) parameters for caches of about that many tokens, the least ones and the tiny ones among them
    most(...)         rows of all caches together, of a method that may keep more than C a head
    Decoding          of a method that decodes: which token is evicted (decoding.py)
mass.py has the parameter `mass` and what a report says, of any method. by_name.py finds a method's file. What they share: shares.py, ranking.py, caches.py, drawing.py; sequence.py and decoding.py remember a
sequence for them.
"""

SAME_FOR_ALL = {"threads", "align", "mass", "report", "coarse"}
"""Parameters that are no part of a method."""
