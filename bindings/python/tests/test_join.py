"""Plans that join keep what one plan of the whole model keeps: by threads and by processes, in every round, however attention comes."""

from __future__ import annotations

import multiprocessing
import socket
from typing import Any

import numpy as np
import pytest
from conftest import noise
from joining_rank import (
    DIVISIONS,
    GROUP,
    HEADS,
    KEYS,
    LAYERS,
    MODEL,
    QUERIES,
    STREAM,
    TOKENS,
    VALUES,
    WHOLE,
    Rank,
    by_threads,
    together,
)
from ranks import Part, heads_of, joined
from registry import has

import kvsieve

SHARES = [{}, {"share": 1}, {"share": 1, "block": 8, "size": 8}, {"share": 2}, {"even": 1}, {"block": 4}]


@pytest.mark.parametrize("parts", DIVISIONS.values(), ids=DIVISIONS)
@pytest.mark.parametrize("shape", SHARES, ids=str)
def test_rounds_of_a_sequence(method: kvsieve.MethodInfo, shape: dict[str, int], parts: list[Part]) -> None:
    """ "What all ranks keep together is what one plan of the whole model would keep, bit for bit, in every round"."""
    whole = Rank(WHOLE, method, **shape)
    group, ranks = by_threads(parts, method, **shape)
    for plan in [whole.plan, *(rank.plan for rank in ranks)]:
        plan.protect(20, 3)
    for new in (TOKENS, 9, 30):
        expected = whole.go(new)

        def go(rank: int, new: int = new) -> list[list[list[int]]]:
            return ranks[rank].go(new)

        assert together(parts, group.run(go)) == expected, new
    dropped = [len(rows) < STREAM - 21 for layer in expected for rows in layer]
    assert any(dropped)


@pytest.mark.parametrize("parts", DIVISIONS.values(), ids=DIVISIONS)
@pytest.mark.parametrize("kind", ["sums", "probabilities"])
def test_attention_that_is_given(method: kvsieve.MethodInfo, kind: str, parts: list[Part]) -> None:
    if method.name == "keydiff" or (method.name == "ahakv" and kind == "sums"):
        return
    rows = TOKENS if method.name == "h2o" else 8
    numbers = np.abs(noise(41, LAYERS, GROUP * HEADS, 1 if kind == "sums" else rows, TOKENS)) + np.float32(0.001)

    def observe(rank: Rank) -> list[list[list[int]]]:
        for index, layer in enumerate(rank.part.layers):
            own = heads_of(numbers[layer], rank.part, MODEL)
            values = heads_of(VALUES[layer], rank.part, MODEL)[:, :TOKENS]
            rank.plan.observe(index, attention=own, kind=kind, values=values)
        return rank.finish(TOKENS)

    expected = observe(Rank(WHOLE, method))
    group, ranks = by_threads(parts, method)
    assert together(parts, group.run(lambda rank: observe(ranks[rank]))) == expected


def test_further_sequences(method: kvsieve.MethodInfo) -> None:
    """ "kvsieve_plan_extend() and kvsieve_plan_reset() do not end the membership"."""
    parts = DIVISIONS["both"]
    whole = Rank(WHOLE, method)
    group, ranks = by_threads(parts, method)
    for _ in range(3):
        expected = whole.go(TOKENS)
        assert together(parts, group.run(lambda rank: ranks[rank].go(TOKENS))) == expected
        for rank in [whole, *ranks]:
            rank.plan.reset()
            rank.tokens, rank.kept = 0, [[[] for _ in rank.part.heads] for _ in rank.part.layers]


def test_layers_keep_everything_until_finish(method: kvsieve.MethodInfo) -> None:
    group, ranks = by_threads(DIVISIONS["tensor 4"], method)
    plan = ranks[0].plan
    plan.observe(0, QUERIES[0, :2, :TOKENS], KEYS[0, :1, :TOKENS], VALUES[0, :1, :TOKENS])
    assert plan.kept(0).counts.tolist() == [TOKENS]
    assert group.sent == [[], [], [], []]


@pytest.mark.parametrize("name", ["ahakv", "h2o", "streamingllm"])
def test_decoding_exchanges_nothing(name: str) -> None:
    """ "Steps of a decoding exchange nothing"."""
    method = next(method for method in kvsieve.methods() if method.name == name)
    parts = DIVISIONS["both"]
    whole = Rank(WHOLE, method, decoding=1)
    group, ranks = by_threads(parts, method, decoding=1)
    expected = whole.go(TOKENS)
    assert together(parts, group.run(lambda rank: ranks[rank].go(TOKENS))) == expected
    calls = [len(sent) for sent in group.sent]
    for token in range(TOKENS, TOKENS + 20):
        slots: dict[tuple[int, int], int] = {}
        for rank in [whole, *ranks]:
            for index, layer in enumerate(rank.part.layers):
                rows = []
                for head in range(len(rank.part.heads)):
                    rows.append([*rank.plan.slots(index, head).positions.tolist(), token])
                own = [heads_of(source[layer], rank.part, MODEL) for source in (QUERIES, KEYS, VALUES)]
                keys, values = (
                    np.stack([array[head, positions] for head, positions in enumerate(rows)]) for array in own[1:]
                )
                slot = rank.plan.step(index, own[0][:, token : token + 1], keys, values)
                for head, number in zip(rank.part.heads, slot[:, 0].tolist()):
                    assert slots.setdefault((layer, head), number) == number
    assert [len(sent) for sent in group.sent] == calls


# -- Processes ---------------------------------------------------------------------------------------------------------------


def _sockets_gather(rank: int, ranks: int, ends: Any) -> Any:
    """All-gather by way of rank 0."""

    def exactly(end: socket.socket, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = end.recv(count - len(data))
            if not piece:
                raise ConnectionError("a rank has ended")
            data += piece
        return data

    def gather(send: Any, receive: Any) -> None:
        count = len(send)
        if rank == 0:
            everything = send.tobytes() + b"".join(exactly(ends[other], count) for other in range(1, ranks))
            for other in range(1, ranks):
                ends[other].sendall(everything)
        else:
            ends[0].sendall(send.tobytes())
            everything = exactly(ends[0], count * ranks)
        receive[:] = np.frombuffer(everything, np.uint8)

    return gather


def _process(rank: int, parts: list[Part], ends: Any, names: list[str], results: Any) -> None:
    gather = _sockets_gather(rank, len(parts), ends)
    found = {}
    for name in names:
        method = next(method for method in kvsieve.methods() if method.name == name)
        own = Rank(parts[rank], method, share=1 if has(method, "share") else 0)
        joined(own.plan, parts, rank, gather)
        found[name] = [own.go(new) for new in (TOKENS, 9)]
    results.put((rank, found))


@pytest.mark.parametrize("division", ["tensor 3", "both"])
def test_processes(division: str) -> None:
    parts = DIVISIONS[division]
    names = [method.name for method in kvsieve.methods()]
    context = multiprocessing.get_context("fork")
    pairs = {rank: socket.socketpair() for rank in range(1, len(parts))}
    results = context.Queue()
    processes = []
    for rank in range(len(parts)):
        ends = {other: pair[0] for other, pair in pairs.items()} if rank == 0 else {0: pairs[rank][1]}
        processes.append(context.Process(target=_process, args=(rank, parts, ends, names, results)))
        processes[-1].start()
    found = dict(results.get(timeout=120) for _ in parts)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    for pair in pairs.values():
        for end in pair:
            end.close()
    for method in kvsieve.methods():
        whole = Rank(WHOLE, method, share=1 if has(method, "share") else 0)
        for index, new in enumerate((TOKENS, 9)):
            ranks = [found[rank][method.name][index] for rank in range(len(parts))]
            assert together(parts, ranks) == whole.go(new), method.name


WITH_MASS = {
    **DIVISIONS,
    "stages that cut no group": [Part(range(4), range(HEADS)), Part(range(4, LAYERS), range(HEADS))],
}
NO_ATTENTION = ("streamingllm", "random", "keydiff")
NEVER_REFUSED = ("one", "stages that cut no group")


@pytest.mark.parametrize("name", WITH_MASS)
@pytest.mark.parametrize("shape", [{}, {"share": 1}, {"block": 4}], ids=str)
@pytest.mark.parametrize("mass", [0.2, 0.6])
def test_mass(method: kvsieve.MethodInfo, mass: float, shape: dict[str, int], name: str) -> None:
    """Heads keep no more than one process's would; refused only where heads or layers on several ranks choose together."""
    if not has(method, "mass") or (shape.get("share") and not has(method, "share")):
        return
    parts, more = WITH_MASS[name], {**shape, "mass": mass}
    group, ranks = by_threads(parts, method, **more)
    try:
        for rank in ranks:
            rank.observe(TOKENS)
    except kvsieve.KVSieveError as error:
        assert "on several ranks make one choice" in error.message
        assert name not in NEVER_REFUSED and (method.name in ("tova", "windowkv") or shape.get("share"))
        return
    expected = Rank(WHOLE, method, **more).go(TOKENS)
    assert together(parts, group.run(lambda rank: ranks[rank].finish(TOKENS))) == expected
    plain = Rank(WHOLE, method, **shape).go(TOKENS)
    rows, most = (sum(len(head) for layer in kept for head in layer) for kept in (expected, plain))
    assert rows < most or mass > 0.5 or method.name in NO_ATTENTION
