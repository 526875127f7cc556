"""Damaged checkpoints: no flipped bit, no cut, no random change is ever loaded, and there is one class of error."""

import random

import pytest

from checkpoints import small_files
from optimlab.checkpoint import CheckpointError, _decode

FILES = small_files()
MUTANTS = 30_000


def accepted(mutants):
    """The mutants, by number, that were loaded; any error but CheckpointError goes through."""
    found = []
    for i, data in enumerate(mutants):
        try:
            _decode(data)
        except CheckpointError:
            continue
        found.append(i)
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit(name):
    data = bytearray(FILES[name])

    def flips():
        for i in range(len(data)):
            for bit in range(8):
                data[i] ^= 1 << bit
                yield bytes(data)
                data[i] ^= 1 << bit

    _decode(bytes(data))
    assert accepted(flips()) == []


@pytest.mark.parametrize("name", FILES)
def test_every_truncation(name):
    data = FILES[name]
    assert accepted(data[:n] for n in range(len(data))) == []


def mutant(draw, data):
    """``data`` changed in one to four places: written over, cut out, filled in, doubled, turned, or gone over to another file."""
    for _ in range(draw.randint(1, 4)):
        i, n = draw.randrange(len(data) + 1), draw.choice([1, 1, 2, 4, 8, 64])
        before, part, after = data[:i], data[i : i + n], data[i + n :]
        data = draw.choice(
            [
                before + draw.randbytes(len(part)) + after,
                before + bytes(draw.choices(b'0123456789{}[]":,eE-.\\ ', k=len(part))) + after,
                before + bytes(len(part)) + after,
                before + after,
                before + draw.randbytes(n) + part + after,
                before + part + part + after,
                before + part[::-1] + after,
                before + draw.choice(list(FILES.values()))[i:],
            ]
        )
    return data


def test_random_mutants():
    draw = random.Random(1)
    whole = set(FILES.values())

    def mutants():
        made = 0
        while made < MUTANTS:
            data = mutant(draw, draw.choice(list(FILES.values())))
            if data not in whole:  # a change may undo itself
                made += 1
                yield data

    assert accepted(mutants()) == []
