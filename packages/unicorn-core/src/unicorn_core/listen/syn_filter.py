"""A filter that keeps new handshakes from a listening TCP socket, while those under way finish (Linux).

Between the last accept and the close of a listener, a client whose handshake has just finished would be reset. With
the filter nobody gets that far any more: a dropped SYN is sent again a second later, and finds the socket closed.
It belongs to the socket, not to a process: attached in one of several that share a listener, it holds for all.
"""

import socket
import struct
import sys
from array import array
from typing import Final

# Constants of linux/filter.h and asm-generic/socket.h, which Python's modules do not have.
_SO_ATTACH_FILTER: Final = 26
_SO_GET_FILTER: Final = 26
_SO_DETACH_FILTER: Final = 27
_LOAD_BYTE: Final = 0x30
_AND: Final = 0x54
_JUMP_IF_EQUAL: Final = 0x15
_RETURN: Final = 0x06
_FLAGS: Final = 13
"""Offset of the flags in a TCP header, which is where a packet begins for the filter, under IPv4 and IPv6."""
_SYN: Final = 0x02
_ACK: Final = 0x10
_WHOLE: Final = 0xFFFFFFFF

_PROGRAM: Final = array(
    "B",
    b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (_LOAD_BYTE, 0, 0, _FLAGS),
            (_AND, 0, 0, _SYN | _ACK),
            (_JUMP_IF_EQUAL, 0, 1, _SYN),
            (_RETURN, 0, 0, 0),
            (_RETURN, 0, 0, _WHOLE),
        )
    ),
)
_DESCRIPTION: Final = struct.pack("HL", len(_PROGRAM) // 8, _PROGRAM.buffer_info()[0])
"""A struct sock_fprog: the number of instructions, and where they lie."""


def attach(sock: socket.socket) -> bool:
    """Let no new handshake begin on a listening TCP socket; False where that is not possible.

    It may be attached again, and by several processes.
    """
    if sys.platform != "linux":
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, _DESCRIPTION)
    except OSError:
        return False
    return True


def detach(sock: socket.socket) -> bool:
    """Let handshakes begin again."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
    except OSError:
        return False
    return True


def attached(sock: socket.socket) -> bool:
    """A filter is there, attached by whichever process."""
    if sys.platform != "linux":
        return False
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, _SO_GET_FILTER, len(_PROGRAM)))
    except OSError:
        return False
