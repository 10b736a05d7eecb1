"""An HTTP/2 server that answers 200 to everything and keeps the header blocks that it was sent."""

import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.events
import hyperframe.frame

from topology.certificates import make_certificate

_PRIORITY_BYTES = 5  # of a HEADERS frame, before its block (RFC 9113, 6.2)


class CountingServer:
    """Answers 200 to everything, and keeps the header blocks of its one connection as `hyperframe` parts them."""

    def __init__(self, folder, protocols=("h2",)):
        self.certificate = make_certificate(folder)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate.server)
        self.context.set_alpn_protocols(list(protocols))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        self.blocks = []
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
        self.blocks = list(self._read(octets.removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))

    @staticmethod
    def _read(octets):
        while octets:
            frame, length = hyperframe.frame.Frame.parse_frame_header(memoryview(octets[:9]))
            if isinstance(frame, hyperframe.frame.HeadersFrame):
                yield octets[9 + (_PRIORITY_BYTES if "PRIORITY" in frame.flags else 0) : 9 + length]
            octets = octets[9 + length :]

    def close(self):
        self.thread.join(10)
        self.listener.close()
