"""The HTTP/2 client's octets, counted a second time by a server that shares no code of ours with it."""

import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.events
import hpack
import hyperframe.frame
import pytest

from loadtests.http2 import ENCODERS, FRAME_HEADER_BYTES, Http2Error, connected
from topology.certificates import make_certificate

TOKEN = "Bearer " + "eyJhbGciOiJIUzI1NiJ9." * 15
LONG = "Bearer " + "x" * 5000


class CountingServer:
    """Answers 200 to everything, and keeps the header frames of each connection as `hyperframe` reads them."""

    def __init__(self, folder, protocols=("h2",)):
        self.certificate = make_certificate(folder)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate.server)
        self.context.set_alpn_protocols(list(protocols))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        self.frames = []
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        accepted, _ = self.listener.accept()
        with accepted, self.context.wrap_socket(accepted, server_side=True) as connection:
            if connection.selected_alpn_protocol() != "h2":
                return
            state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            state.initiate_connection()
            connection.sendall(state.data_to_send())
            octets = b""
            while data := connection.recv(65536):
                octets += data
                for event in state.receive_data(data):
                    if isinstance(event, h2.events.StreamEnded):
                        state.send_headers(event.stream_id, [(":status", "200")], end_stream=True)
                connection.sendall(state.data_to_send())
        self.frames = list(self._read(octets.removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))

    @staticmethod
    def _read(octets):
        while octets:
            frame, length = hyperframe.frame.Frame.parse_frame_header(memoryview(octets[:9]))
            if isinstance(frame, hyperframe.frame.HeadersFrame):
                yield octets[9 : 9 + length]
            octets = octets[9 + length :]

    def close(self):
        self.thread.join(10)
        self.listener.close()


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
    assert [each.block_bytes for each in found] == [len(block) for block in server.frames]
    assert [each.frame_bytes - each.block_bytes for each in found] == [FRAME_HEADER_BYTES] * 3
    decoder = hpack.Decoder()
    for block in server.frames:
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
