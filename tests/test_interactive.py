"""`millrace run` at a terminal: a pseudo-terminal with the program in the foreground, keys sent as bytes."""
import http.server
import json
import os
import pty
import re
import select
import signal
import socket
import threading
import time

import pytest

from conftest import MILLRACE, ROOT, tiny_models

CTRL_C, CTRL_D = b"\x03", b"\x04"


class Terminal:
    def __init__(self, *arguments, program=(MILLRACE, "run")):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            command = [str(part) for part in (*program, *arguments)]
            os.execv(command[0], command)

    def read(self, seconds):
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return False
        try:
            got = os.read(self.fd, 65536)
        except OSError:  # Linux: the other side is closed
            got = b""
        self.seen += got
        return bool(got)

    def wait_for(self, pattern, seconds=30):
        """What the screen shows up to the first match, which is taken away."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen)):
            assert self.read(max(0, end - time.monotonic())), f"{pattern} did not come: {self.seen[-500:]}"
        text, self.seen = self.seen[: found.end()], self.seen[found.end():]
        return text

    def send(self, keys):
        os.write(self.fd, keys)

    def ask(self, line):
        self.send(line.encode() + b"\n")
        self.wait_for(re.escape(line.encode()) + rb"\r\n")  # the terminal's echo

    def is_running(self):
        return os.waitpid(self.pid, os.WNOHANG) == (0, 0)

    def exit_code(self, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            while self.read(0.01):
                pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(f"still running: {self.seen[-500:]}")

    def hang_up(self, seconds=10):
        """Closes the terminal; true when the program ended by that."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        end = time.monotonic() + seconds
        while self.pid and time.monotonic() < end:
            if os.waitpid(self.pid, os.WNOHANG) != (0, 0):
                self.pid = 0
            time.sleep(0.01)
        return not self.pid

    def close(self):
        if not self.hang_up():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


@pytest.fixture
def terminal(millrace):
    opened = []

    def start(*arguments, **options):
        opened.append(Terminal(*arguments, **options))
        return opened[-1]
    yield start
    for each in opened:
        each.close()


class Echo(http.server.BaseHTTPRequestHandler):
    """A server that remembers what it was asked, answers "one two three" and, to "slow", word after word without an end."""

    def do_POST(self):
        messages = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"]
        self.server.asked.append(messages)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        question = messages[-1]["content"]
        try:
            for word in ["one", " two", " three"] if question != "silent" else []:
                self.say(word)
            while question in ("slow", "silent"):
                if question == "slow":
                    self.say(" more")
                self.wfile.write(b": nothing\n\n")
                time.sleep(0.02)
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            self.server.hung_up.set()

    def say(self, word):
        self.wfile.write(b"data: " + json.dumps({"choices": [{"delta": {"content": word}}]}).encode() + b"\n\n")
        self.wfile.flush()

    def log_message(self, *_):
        pass


@pytest.fixture
def echo():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.asked, server.hung_up = [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def texts(messages):
    return [(m["role"], m["content"]) for m in messages]


def test_conversation_is_kept_until_clear(terminal, echo):
    chat = terminal("any", "--server", echo.url, "--system", "Be brief.")
    chat.wait_for(rb"> ")
    chat.ask("first")
    chat.wait_for(rb"one two three\r\n> ")
    chat.ask("second")
    chat.wait_for(rb"three\r\n> ")
    chat.ask("/clear")
    chat.wait_for(rb"> ")
    chat.ask("third")
    chat.wait_for(rb"three\r\n> ")
    system, answer = ("system", "Be brief."), ("assistant", "one two three")
    assert [texts(m) for m in echo.asked] == [
        [system, ("user", "first")],
        [system, ("user", "first"), answer, ("user", "second")],
        [system, ("user", "third")],
    ]


@pytest.mark.parametrize("end", [CTRL_D, b"/bye\n"])
def test_leaving(terminal, echo, end):
    chat = terminal("any", "--server", echo.url)
    chat.wait_for(rb"Ctrl-D or /bye ends[^>]*> ")
    chat.send(end)
    assert chat.exit_code() == 0


def test_control_c_at_the_prompt_says_how_to_leave(terminal, echo):
    chat = terminal("any", "--server", echo.url)
    chat.wait_for(rb"> ")
    chat.send(b"half a line" + CTRL_C)
    chat.wait_for(rb"\(Ctrl-D or /bye ends\)\r\n> ")
    chat.ask("whole")
    chat.wait_for(rb"three\r\n> ")
    assert texts(echo.asked[0]) == [("user", "whole")]
    assert chat.is_running()


def test_control_c_stops_the_answer_and_keeps_what_was_said(terminal, echo):
    chat = terminal("any", "--server", echo.url)
    chat.wait_for(rb"> ")
    chat.ask("slow")
    chat.wait_for(rb"one two three more")
    chat.send(CTRL_C)
    chat.wait_for(rb"\r\n> ", 5)
    assert echo.hung_up.wait(5), "the server is told"
    chat.ask("next")
    chat.wait_for(rb"three\r\n> ")
    roles = texts(echo.asked[1])
    assert [role for role, _ in roles] == ["user", "assistant", "user"] and roles[1][1].startswith("one two three more")


def test_control_c_before_the_first_word_forgets_the_question(terminal, echo):
    chat = terminal("any", "--server", echo.url)
    chat.wait_for(rb"> ")
    chat.ask("silent")
    while not echo.asked:
        time.sleep(0.01)
    chat.send(CTRL_C)
    chat.wait_for(rb"\r\n> ", 5)
    chat.ask("next")
    chat.wait_for(rb"three\r\n> ")
    assert texts(echo.asked[1]) == [("user", "next")]


def test_what_is_not_utf8_is_not_asked(terminal, echo):
    chat = terminal("any", "--server", echo.url)
    chat.wait_for(rb"> ")
    chat.send(b"caf\xe9\n")
    chat.wait_for(rb"not UTF-8: byte 4[^>]*> ")
    chat.ask("whole")
    chat.wait_for(rb"three\r\n> ")
    assert [texts(m) for m in echo.asked] == [[("user", "whole")]]


def test_an_error_ends_no_conversation(terminal, echo):
    chat = terminal("any", "--server", "http://127.0.0.1:1")
    chat.wait_for(rb"> ")
    chat.ask("hello")
    chat.wait_for(rb"millrace: .*\r\n> ")
    assert chat.is_running()


def test_control_c_frees_the_slot_of_a_real_server(terminal, server):
    chat = terminal("smollm2", "--server", server.url, "--temperature", "0")
    chat.wait_for(rb"> ")
    chat.ask("Count from one to one thousand, in words.")
    chat.wait_for(rb"[a-z]{3}")
    chat.send(CTRL_C)
    chat.wait_for(rb"\r\n> ", 5)
    assert server.wait_until(lambda: server.model_state()["running"] == 0, 5)
    chat.ask("/clear")
    chat.ask("Name the capital of France.")
    chat.wait_for(rb"Paris", 60)
    assert chat.is_running()


def test_control_c_leaves_a_server_of_its_own_alone(terminal, tmp_path):
    chat = terminal(tiny_models()[0], "--temperature", "0")
    chat.wait_for(rb"started a server of its own[^>]*> ")
    for _ in range(3):
        chat.send(CTRL_C)
        chat.wait_for(rb"ends\)\r\n> ")
    chat.ask("hi")
    shown = chat.wait_for(rb"\r\n> ")
    assert b"millrace: " not in shown
    chat.send(CTRL_D)
    assert chat.exit_code() == 0


def start_quickstart(terminal):
    quickstart = terminal(program=(ROOT / "quickstart",))
    shown = quickstart.wait_for(rb"(?s)The server goes on at http.*message\.content\)'", 300)
    url = re.search(rb"goes on at (http://[^\s]+)\.", shown)[1].decode()
    if b"using the server" in shown:
        pytest.skip("a server of this build runs already")
    assert re.search(rb"% of the roof|above the roof|not measured", shown)
    quickstart.wait_for(rb"Ctrl-C ends it\.")
    return quickstart, url


def test_quickstart_passes_control_c_on_once(terminal, smollm2):
    """Twice would mean: end at once, and cut off whoever is served."""
    quickstart, _ = start_quickstart(terminal)
    quickstart.send(CTRL_C)
    assert quickstart.exit_code(30) == 0
    assert quickstart.seen.count(b"once more ends at once") == 1 and b"ending at once" not in quickstart.seen


def test_quickstart_leaves_no_server_behind_a_closed_terminal(terminal, smollm2):
    quickstart, url = start_quickstart(terminal)
    assert quickstart.hang_up()
    port = int(url.rsplit(":", 1)[1])
    with pytest.raises(ConnectionRefusedError):
        for _ in range(500):
            socket.create_connection(("127.0.0.1", port)).close()
            time.sleep(0.01)
