"""Blocks of variables: whatever can be written is read as it was, and whatever cannot be is refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import block

from unicorn_http.semantics.refusal import Refusal
from unicorn_uwsgi.packet import block_size
from unicorn_uwsgi.packet import split_block as split


class Every(dict):
    """Makes a line of every variable."""

    def __missing__(self, name):
        return f"{len(name)} {name} "


def lines(pairs):
    return [f"{len(name)} {name.decode('latin-1')} {value.decode('latin-1')}" for name, value in pairs]


def split_block(data):
    return split(data, Every())[0]


variables = st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=2000)), max_size=30)


@given(variables)
def test_any_block_is_read_as_it_was_written(pairs):
    assert split_block(block(pairs)) == lines(pairs)


@given(variables, st.data())
def test_a_block_that_is_cut_is_refused_unless_it_is_cut_between_two_variables(pairs, data):
    whole = block(pairs)
    ends = {len(block(pairs[:count])): count for count in range(len(pairs) + 1)}
    end = data.draw(st.integers(0, len(whole)))
    if end in ends:
        assert len(split_block(whole[:end])) == ends[end]
    else:
        with pytest.raises(Refusal):
            split_block(whole[:end])


@given(st.binary(max_size=500))
def test_whatever_comes_is_read_completely_or_refused(data):
    with contextlib.suppress(Refusal):
        again = []
        for line in split_block(data):
            size, _, rest = line.encode("latin-1").partition(b" ")
            again.append((rest[: int(size)], rest[int(size) + 1 :]))
        assert block(again) == data


def test_sizes_are_little_endian():
    assert block_size(b"\0\x01\x02\0") == 0x0201
    assert block_size(b"\0\xff\xff\0") == 65535


def test_the_largest_variables_are_read():
    pairs = [(b"A", b"b" * 65530)]
    assert len(block(pairs)) == 65535
    assert split_block(block(pairs)) == lines(pairs)


def test_variables_that_are_no_lines_are_given_by_name():
    pairs = [(b"A", b"1"), (b"B", b"2"), (b"A", b"3"), (b"C", b"4")]
    assert split(block(pairs), {"A": "", "B": "b: ", "C": ""}) == (["b: 2"], {"A": "3", "C": "4"})
