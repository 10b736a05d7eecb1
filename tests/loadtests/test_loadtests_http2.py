"""The HTTP/2 client's octets, counted a second time by a server that shares no code of ours with it."""

import hpack
import pytest

from loadtests.http2 import ENCODERS, FRAME_HEADER_BYTES, Http2Error, connected
from tests.loadtests.counting_server import CountingServer

TOKEN = "Bearer " + "eyJhbGciOiJIUzI1NiJ9." * 15
LONG = "Bearer " + "x" * 5000


@pytest.fixture
def server(tmp_path):
    made = CountingServer(tmp_path)
    yield made
    made.close()


def exchanges(server, encoder, fields, requests=3):
    with connected(server.url, server.certificate.authority, indexing=encoder == ENCODERS[0]) as connection:
        found = [connection.get("/me", fields) for _ in range(requests)]
    server.close()
    return found


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("field", [("authorization", TOKEN), ("cookie", "__Host-session=0123456789012345678901"), ()])
def test_every_octet_of_a_header_block_is_counted(server, encoder, field):
    found = exchanges(server, encoder, [field] if field else [])
    assert [each.block_bytes for each in found] == [len(block) for block in server.blocks]
    assert [each.frame_bytes - each.block_bytes for each in found] == [FRAME_HEADER_BYTES] * 3
    decoder = hpack.Decoder()
    for block in server.blocks:
        fields = dict(decoder.decode(block))
        assert fields[":path"] == "/me"
        assert not field or fields[field[0]] == field[1]


def test_a_repeated_field_is_one_octet_where_it_may_be_indexed(server):
    found = exchanges(server, "indexing", [("authorization", TOKEN)])
    assert [each.block_bytes for each in found[1:]] == [5, 5]  # four pseudo-fields and the credential, an index each


def test_a_bearer_that_is_never_indexed_is_sent_whole_every_time(server):
    found = exchanges(server, "never-indexed", [("authorization", TOKEN)])
    alone = len(hpack.huffman.HuffmanEncoder(hpack.huffman_constants.REQUEST_CODES,
                hpack.huffman_constants.REQUEST_CODES_LENGTH).encode(TOKEN.encode()))  # fmt: skip
    assert all(each.block_bytes > alone for each in found)


def test_a_field_larger_than_the_table_is_never_remembered(server):
    first, *others = exchanges(server, "indexing", [("authorization", LONG)])
    assert all(each.block_bytes >= first.block_bytes for each in others)


def test_a_server_without_http2_is_refused(tmp_path):
    made = CountingServer(tmp_path, protocols=("http/1.1",))
    with pytest.raises(Http2Error, match="does not offer HTTP/2"):
        exchanges(made, "indexing", [])
    made.close()
