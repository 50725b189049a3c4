"""Pictures of what a plan keeps: kept(plan) position by position, rows(plan) layer by layer. compared(...) is the picture of
`python -m kvsieve compare`.

All return a matplotlib Figure, which a notebook shows; save(figure, path) writes it as a small png. matplotlib is an
extra of the package, `pip install 'kvsieve[plot]'`, and is imported when a picture is asked for.
`python -m kvsieve.plot --help` says how to make the same pictures of a cache in a file.
"""

from ._compare import compared
from ._kept import kept
from ._rows import rows
from ._save import save

__all__ = ["compared", "kept", "rows", "save"]
