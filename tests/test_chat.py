"""Conversations through real templates: a tiny model in a directory with templates of its own, the openai package as client, and as prompts
those that apply_chat_template of transformers makes (tests/text/chat_golden.json)."""
import copy
import json
import shutil

import openai
import pytest
from conftest import ROOT, Server

TEXT = ROOT / "tests/text"
MODEL = ROOT / "tests/golden/llama-hf"
GOLDEN = json.loads((TEXT / "chat_golden.json").read_text())
# What clients of OpenAI's interface may send as it is.
INPUTS = ["user", "chat", "tools", "null content", "documents", "arguments", "continue", "continue spaces", "continue a user"]
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Looks it up.",
                                         "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
# Short, for the model's context is.
SHORT = ("{% if tools %}{{ tools | tojson }}\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
         "{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}<|im_end|>\n{% endfor %}"
         "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def source(text):
    return (TEXT / "template_samples" / f"{text[1:]}.jinja").read_text() if text.startswith("@") else text


def serve(folder, templates):
    directory = folder / "chat"
    shutil.copytree(MODEL, directory)
    config = directory / "tokenizer_config.json"
    values = json.loads(config.read_text())
    if templates:
        values["chat_template"] = [{"name": name, "template": source(text)} for name, text in templates.items()]
    else:
        del values["chat_template"]
    config.write_text(json.dumps(values))
    return Server(directory, env={"MILLRACE_NOW": str(GOLDEN["now"]), "TZ": "UTC"})


@pytest.mark.parametrize("name", ["named", "qwen", "llama3", "mistral", "rag", "clock"])
def test_prompts_are_those_of_transformers(tmp_path, name):
    expected = GOLDEN["sets"][name]
    server = serve(tmp_path, expected["templates"])
    for key in INPUTS:
        golden, wanted = GOLDEN["inputs"][key], expected["outputs"][key]
        if wanted is None:
            continue
        body = {"messages": copy.deepcopy(golden["messages"]), "add_generation_prompt": golden.get("add_generation_prompt", False)}
        for ours, theirs in {"tools": "tools", "documents": "documents", "continue": "continue_final_message", "arguments": "chat_template_kwargs"}.items():
            if ours in golden:
                body[theirs] = golden[ours]
        for message in body["messages"]:
            for call in message.get("tool_calls") or []:
                call["function"]["arguments"] = json.dumps(call["function"]["arguments"]) if isinstance(call["function"]["arguments"], dict) else call["function"]["arguments"]
        status, reply = server.post("/apply-template", body)
        if status == 400 and reply["error"]["param"] in ("tools", "documents"):
            assert reply["error"]["param"] in golden, key  # the template does not show them, which transformers does not say
            continue
        assert status == 200, (key, reply)
        assert reply["prompt"] == wanted.replace("</s>", "<|im_end|>").replace("<s>", "<|im_start|>"), key
    assert server.stop() == 0, server.log


def test_a_conversation_with_tools(tmp_path):
    server = serve(tmp_path, {"default": SHORT})
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
    messages = [{"role": "user", "content": "Weather?"}]
    raw = client.chat.completions.with_raw_response.create(model="chat", messages=messages, tools=[TOOL], tool_choice="auto", max_tokens=4)
    assert "tool_calls" in raw.headers["x-millrace-ignored"]
    answer = raw.parse().choices[0]
    assert answer.message.tool_calls is None and answer.finish_reason in ("stop", "length")
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
    messages += [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c1", "content": "21"}]
    reply = client.chat.completions.create(model="chat", messages=messages, tools=[TOOL], max_tokens=4)
    assert reply.usage.prompt_tokens > raw.parse().usage.prompt_tokens
    # An earlier answer is sent back as it came.
    messages.append(reply.choices[0].message)
    messages.append({"role": "user", "content": "And now?"})
    assert client.chat.completions.create(model="chat", messages=messages, tools=[TOOL], max_tokens=4).choices
    prompt = server.post("/apply-template", {"messages": messages[:3], "tools": [TOOL]})[1]["prompt"]
    assert prompt == json.dumps([TOOL]) + ('\n<|im_start|>user\nWeather?<|im_end|>\n<|im_start|>assistant\nget_weather{"city": "Paris"}<|im_end|>\n'
                                           "<|im_start|>tool\n21<|im_end|>\n<|im_start|>assistant\n")
    for choice in ("required", {"type": "function", "function": {"name": "get_weather"}}):
        with pytest.raises(openai.BadRequestError) as error:
            client.chat.completions.create(model="chat", messages=messages[:1], tools=[TOOL], tool_choice=choice)
        assert error.value.param == "tool_choice"
    assert server.stop() == 0, server.log


def test_a_model_without_template_says_what_stands_in(run, tmp_path):
    server = serve(tmp_path, {})
    assert "no chat template; conversations are written in the format 'chatml'" in server.stderr()
    assert server.get("/v1/models/chat")[1]["meta"]["chat_format"] == "chatml"
    assert server.post("/v1/chat/completions", {"model": "chat", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2})[0] == 200
    assert server.stop() == 0, server.log
    directory = tmp_path / "chat"
    assert "none; chatml is used" in run("inspect", directory).stdout
    facts = json.loads(run("inspect", directory, "--json").stdout)
    assert facts["chat_format"] == "chatml" and not facts["template"]
    done = run("run", directory, "Hi", "--max-tokens", "2")
    assert done.returncode == 0 and "no chat template" in done.stderr, done.stderr
