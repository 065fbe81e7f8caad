"""Responses are parsed the same however they are cut, and what follows one is never taken for another."""

from __future__ import annotations

import gc
import weakref

import pytest

from sealgate.http.responses import (
    MAX_HEAD_BYTES,
    MAX_INFORMATIONAL,
    HeadTooLargeError,
    InvalidResponseError,
    NoResponseError,
    ResponseParser,
)

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = {
    "length": OK + b"Content-Length: 5\r\n\r\nhello",
    "chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nLate: x\r\n\r\n",
    "after informational ones": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
}


def parse(*pieces: bytes, bodiless: bool = False) -> ResponseParser:
    parser = ResponseParser(bodiless=bodiless)
    for piece in pieces:
        parser.feed(piece)
    return parser


@pytest.mark.parametrize("framing", WHOLE)
def test_a_response_is_parsed_the_same_however_it_is_cut(framing: str) -> None:
    whole = WHOLE[framing]
    for size in range(1, len(whole) + 1):
        parser = parse(*(whole[at : at + size] for at in range(0, len(whole), size)))
        assert (parser.status, bytes(parser.body), parser.complete, parser.reusable) == (200, b"hello", True, True)
        assert not {"late", "link"} & parser.headers.keys()


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("more", [b"x", b"\r\n\r\nx", WHOLE["length"]])
@pytest.mark.parametrize("apart", [False, True])
def test_bytes_after_a_response_end_the_connection(framing: str, more: bytes, *, apart: bool) -> None:
    whole = WHOLE[framing]
    parser = parse(whole, more) if apart else parse(whole + more)
    assert (bytes(parser.body), parser.complete, parser.reusable) == (b"hello", True, False)


@pytest.mark.parametrize("framing", WHOLE)
def test_a_complete_response_is_freed_without_the_garbage_collector(framing: str) -> None:
    gc.disable()
    try:
        parser = parse(WHOLE[framing])
        kept = weakref.ref(parser)
        del parser
        assert kept() is None
    finally:
        gc.enable()


def test_a_response_to_head_has_no_body() -> None:
    head = OK + b"Content-Length: 5\r\n\r\n"
    parser = parse(head, bodiless=True)
    assert (parser.headers["content-length"], parser.length, parser.complete, parser.reusable) == ("5", 0, True, True)
    assert not parse(head + b"hello", bodiless=True).reusable
    assert parse(OK + b"\r\n", bodiless=True).reusable
    assert not parse(OK + b"Connection: Keep-Alive, Close\r\n\r\n", bodiless=True).reusable
    assert not parse(b"HTTP/1.0 200 OK\r\n\r\n", bodiless=True).reusable
    assert parse(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", bodiless=True).reusable


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_statuses_without_a_body_are_complete_with_their_head(status: bytes) -> None:
    parser = parse(b"HTTP/1.1 " + status + b"\r\n\r\n")
    assert (parser.complete, parser.reusable) == (True, True)


def test_a_body_without_length_ends_with_the_connection() -> None:
    parser = parse(OK + b"\r\nhel", b"lo")
    assert not parser.complete
    parser.feed(b"")
    assert (bytes(parser.body), parser.complete, parser.reusable) == (b"hello", True, False)


def test_headers_of_one_name_are_joined() -> None:
    parser = parse(OK + b"WWW-Authenticate: Basic\r\nwww-authenticate: Bearer\r\nContent-Length: 0\r\n\r\n")
    assert parser.headers == {"www-authenticate": "Basic, Bearer", "content-length": "0"}


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\x00\x02",
        b"HTTP/1.1 abc\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
        OK + b"Content-Length: +5\r\n\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"X: a\r\n b\r\n\r\n",
        OK + b"X\x00: a\r\n\r\n",
        OK + b"X : a\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(answer: bytes) -> None:
    with pytest.raises(InvalidResponseError, match="its answer is not HTTP"):
        parse(answer)


def test_the_end_of_the_connection_completes_nothing_that_has_an_end_of_its_own() -> None:
    with pytest.raises(NoResponseError):
        parse(b"")
    for cut in (OK, OK + b"Content-Length: 5\r\n\r\nhell", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"):
        with pytest.raises(InvalidResponseError, match="ends too early") as ended:
            parse(cut, b"")
        assert not isinstance(ended.value, NoResponseError)


def test_the_head_is_bounded() -> None:
    filler = b"X: " + b"x" * (MAX_HEAD_BYTES - len(OK) - 7) + b"\r\n\r\n"
    assert parse(OK + filler).status == 200
    with pytest.raises(HeadTooLargeError):
        parse(OK + b"x" + filler)
    with pytest.raises(HeadTooLargeError):
        parse(OK, b"X: ", b"x" * MAX_HEAD_BYTES)
    with pytest.raises(HeadTooLargeError):
        parse(b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INFORMATIONAL + 1) + OK + b"\r\n")
