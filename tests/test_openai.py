"""The openai package drives the server, as a client of ours would."""
import openai
import pytest


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)


def ask(client, text, **options):
    return client.chat.completions.create(model="smollm2", messages=[{"role": "user", "content": text}], **options)


@pytest.mark.default_model
def test_names_the_capital(client):
    reply = ask(client, "Name the capital of France.", temperature=0, max_tokens=60)
    assert "Paris" in reply.choices[0].message.content
    assert reply.choices[0].message.role == "assistant"
    assert reply.choices[0].finish_reason in ("stop", "length")
    assert reply.object == "chat.completion" and reply.model == "smollm2"


def test_stream_equals_whole_reply(client):
    options = {"temperature": 0, "max_tokens": 40}
    whole = ask(client, "Count to five.", **options)
    chunks = list(ask(client, "Count to five.", stream=True, stream_options={"include_usage": True}, **options))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert [c.choices[0].delta.role for c in chunks if c.choices].count("assistant") == 1
    assert len({c.id for c in chunks}) == 1 and len({c.created for c in chunks}) == 1
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.choices[0].finish_reason


def test_no_usage_chunk_unless_asked(client):
    chunks = list(ask(client, "Hi.", stream=True, max_tokens=3))
    assert all(c.choices for c in chunks)


def test_usage_counts(client):
    reply = ask(client, "Hello", max_tokens=7, extra_body={"ignore_eos": True})
    assert reply.usage.completion_tokens == 7
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + 7
    assert reply.choices[0].finish_reason == "length"


def test_seed_repeats_and_differs(client):
    first, again, other = (ask(client, "Tell me a story.", seed=s, temperature=1.5, max_tokens=40).choices[0].message.content for s in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.default_model
def test_stop_string_does_not_leak(client):
    reply = ask(client, "Count: one, two, three, four, five.", temperature=0, max_tokens=60, stop=[" the"])
    assert " the" not in reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop"


def test_logprobs(client):
    reply = ask(client, "Hello", temperature=0, max_tokens=5, logprobs=True, top_logprobs=3)
    content = reply.choices[0].logprobs.content
    assert len(content) == reply.usage.completion_tokens
    for item in content:
        assert item.logprob <= 0 and len(item.top_logprobs) == 3
        assert item.top_logprobs[0].logprob == item.logprob  # greedy: the best is the chosen one
        assert bytes(item.bytes).decode("utf-8", "replace") == item.token or item.token
        assert sorted((t.logprob for t in item.top_logprobs), reverse=True) == [t.logprob for t in item.top_logprobs]


@pytest.mark.default_model
def test_streamed_logprobs_cover_the_text(client):
    chunks = list(ask(client, "Say hi.", temperature=0, max_tokens=8, logprobs=True, stream=True))
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    pieces = b"".join(bytes(item.bytes) for c in chunks if c.choices[0].logprobs for item in c.choices[0].logprobs.content)
    assert text.encode() == pieces[: len(text.encode())]


@pytest.mark.parametrize("bad, param", [
    ({"temperature": -1}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"top_p": 1.5}, "top_p"),
    ({"n": 2}, "n"),
    ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),  # which the model's template does not show
    ({"tool_choice": "required"}, "tool_choice"),
    ({"chat_template": "{{ messages }}"}, "chat_template"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"made_up": 1}, "made_up"),
])
def test_refuses_by_name(client, bad, param):
    with pytest.raises(openai.BadRequestError) as error:
        ask(client, "Hi", extra_body=bad)
    assert error.value.param is not None and param in error.value.param
    assert error.value.type == "invalid_request_error"


def test_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(model="nope", messages=[{"role": "user", "content": "Hi"}])
    assert error.value.code == "model_not_found"


def test_context_overflow(client):
    with pytest.raises(openai.BadRequestError) as error:
        ask(client, "word " * 9000)
    assert error.value.code == "context_length_exceeded"
    assert "maximum context length" in str(error.value)


def test_models(client):
    assert [m.id for m in client.models.list()] == ["smollm2"]
    assert client.models.retrieve("smollm2").id == "smollm2"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nope")


def test_harmless_parameters_are_reported(client):
    raw = client.chat.completions.with_raw_response.create(model="smollm2", messages=[{"role": "user", "content": "Hi"}], max_tokens=2,
                                                           user="somebody", metadata={"a": "b"})
    assert "user" in raw.headers["x-millrace-ignored"] and "metadata" in raw.headers["x-millrace-ignored"]


@pytest.mark.default_model
def test_timings(server):
    status, reply = server.post("/v1/chat/completions", {"model": "smollm2", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20,
                                                         "ignore_eos": True})
    assert status == 200
    timings = reply["timings"]
    assert timings["completion_tokens"] == 20 and timings["decode_tok_s"] > 0 and timings["prompt_tok_s"] > 0 and timings["gb_s"] > 0
    assert timings["bytes_per_token"] > 90e6
    assert set(timings["hops"]) >= {"parse_ms", "template_ms", "tokenise_ms", "queue_ms", "prefill_ms", "decode_ms"}


@pytest.mark.default_model
def test_timings_of_an_answer_that_a_stop_string_ended(server):
    status, reply = server.post("/v1/chat/completions", {"model": "smollm2", "messages": [{"role": "user", "content": "Count: one, two, three."}],
                                                         "temperature": 0, "max_tokens": 60, "stop": [" the", ".", " two"], "ignore_eos": True})
    assert status == 200 and reply["choices"][0]["finish_reason"] == "stop" and reply["usage"]["completion_tokens"] > 2
    timings = reply["timings"]
    assert timings["gb_s"] > 0 and timings["bytes_per_token"] > 90e6 and timings["mean_batch"] >= 1 and timings["decode_tok_s"] > 0


@pytest.mark.same_bits
def test_many_at_once_say_the_same_as_alone(server):
    import concurrent.futures
    body = {"model": "smollm2", "temperature": 0.8, "seed": 7, "max_tokens": 30}
    prompts = [f"Write about the number {i}." for i in range(8)]

    def text(prompt):
        status, reply = server.post("/v1/chat/completions", {**body, "messages": [{"role": "user", "content": prompt}]})
        assert status == 200
        return reply["choices"][0]["message"]["content"]
    alone = [text(p) for p in prompts]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(text, prompts)) == alone


def test_text_endpoints(server):
    status, tokens = server.post("/tokenize", {"content": "Hello, wörld 123"})
    assert status == 200
    assert server.post("/detokenize", {"tokens": tokens["tokens"]})[1]["content"] == "Hello, wörld 123"
    status, prompt = server.post("/apply-template", {"messages": [{"role": "user", "content": "Hi"}]})
    assert status == 200 and prompt["prompt"].endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
