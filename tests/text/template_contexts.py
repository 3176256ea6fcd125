"""Conversations that chat templates are rendered with."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Looks up the \"weather\" <now> & here",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Zürich, 東京, …"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "array", "items": {"type": "integer"}},
                "place": {"type": "object", "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}}, "required": ["lat"]},
                "either": {"oneOf": [{"type": "string", "nullable": True}, {"type": "boolean"}]},
                "mixed": {"type": ["string", "null"]},
            },
            "required": ["city"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "", "parameters": {"type": "object", "properties": {}}}}


def message(role, content, **extra):
    return {"role": role, "content": content, **extra}


def call(name, arguments, identity="abcdefghi"):
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
CHAT = [message("system", "Be brief.\n"), message("user", " Hello! "), message("assistant", "Hi, how can I help?"), message("user", "Tell me.")]
TOOL_CHAT = [
    message("system", "Use tools."),
    message("user", "Weather in Zürich?"),
    message("assistant", "", tool_calls=[call("get_weather", {"city": "Zürich", "unit": None, "days": [1, 2.5]})]),
    message("tool", "{\"degrees\": 21.0}", tool_call_id="abcdefghi", name="get_weather"),
    message("assistant", "21 degrees."),
    message("user", "And Paris?"),
]
CONTEXTS = {
    "user": {**TOKENS, "messages": [message("user", "Hi")], "add_generation_prompt": True},
    "user_no_prompt": {**TOKENS, "messages": [message("user", "Hi")], "add_generation_prompt": False},
    "chat": {**TOKENS, "messages": CHAT, "add_generation_prompt": True},
    "chat_done": {**TOKENS, "messages": CHAT[:3], "add_generation_prompt": False},
    "no_system": {**TOKENS, "messages": CHAT[1:], "add_generation_prompt": True, "tools": None, "documents": None},
    "wrong_order": {**TOKENS, "messages": [message("assistant", "I go first"), message("user", "no")], "add_generation_prompt": True},
    "two_users": {**TOKENS, "messages": [message("user", "a"), message("user", "b")], "add_generation_prompt": True},
    "empty": {**TOKENS, "messages": [], "add_generation_prompt": True},
    "no_tokens": {"messages": CHAT, "add_generation_prompt": True},
    "tools": {**TOKENS, "messages": TOOL_CHAT, "add_generation_prompt": True, "tools": [WEATHER, CLOCK]},
    "tools_first": {**TOKENS, "messages": TOOL_CHAT[1:2], "add_generation_prompt": True, "tools": [WEATHER], "tools_in_user_message": False},
    "tool_result_last": {**TOKENS, "messages": TOOL_CHAT[:4], "add_generation_prompt": True, "tools": [WEATHER]},
    "orphan_tool": {**TOKENS, "messages": [message("user", "x"), message("tool", "result")], "add_generation_prompt": True},
    "reasoning": {
        **TOKENS,
        "messages": [
            message("user", "1+1?"),
            message("assistant", "<think>\nadd\n</think>\n\n2"),
            message("user", "2+2?"),
            message("assistant", "4", reasoning_content="add again\n"),
        ],
        "add_generation_prompt": False,
    },
    "no_thinking": {**TOKENS, "messages": CHAT[:2], "add_generation_prompt": True, "enable_thinking": False, "thinking": True},
    "parts": {
        **TOKENS,
        "messages": [
            message("system", [{"type": "text", "text": "Look."}]),
            message("user", [{"type": "image"}, {"type": "text", "text": "what?\nwho?"}, {"type": "audio"}]),
        ],
        "add_generation_prompt": True,
    },
    "unicode": {**TOKENS, "messages": [message("user", "héllo 世界 😀\u200b\u2028 \"quoted\" it's\\"), message("assistant", "\u00a0ok\u3000")], "add_generation_prompt": True},
    "rag": {
        **TOKENS,
        "messages": CHAT,
        "add_generation_prompt": True,
        "documents": [{"title": "B", "text": "second\ndocument " * 4}, {"title": "A", "text": "first", "doc_id": "d1"}],
        "controls": {"citations": True, "length": "short"},
    },
    "null_content": {**TOKENS, "messages": [message("user", "x"), message("assistant", None, tool_calls=[call("clock", {}), call("clock", "{}", "short")])], "add_generation_prompt": True},
    "odd_values": {**TOKENS, "messages": [message("user", 5), message("assistant", True)], "add_generation_prompt": None, "tools": []},
}


def called(messages, **members):
    """What transformers passes, always with tools and documents."""
    return {**TOKENS, "tools": None, "documents": None, "add_generation_prompt": True, "messages": messages, **members}


RESULT = message("tool", "{\"degrees\": 21.0}", tool_call_id="abcdefghi", name="get_weather")
PARALLEL = [
    message("user", "Weather in Zürich and Paris, and the time?"),
    message(
        "assistant",
        "I look.",
        tool_calls=[
            call("get_weather", {"city": "Zürich", "days": [1, 2], "place": {"lat": 47.37, "lon": -0.0}}, "call00001"),
            call("get_weather", {"city": "Paris", "unit": "celsius"}, "call00002"),
            call("clock", {}, "call00003"),
        ],
    ),
    message("tool", "{\"degrees\": 21.0}", tool_call_id="call00001", name="get_weather"),
    message("tool", "cold\nand \"wet\"", tool_call_id="call00002", name="get_weather"),
    message("tool", {"now": "12:00", "ok": True}, tool_call_id="call00003", name="clock"),
]
THOUGHT = [
    message("system", "Think."),
    message("user", "1+1?"),
    message("assistant", "2", reasoning_content="one and one\nis two", thinking="one and one\nis two"),
    message("user", "2+2?"),
    message("assistant", "", reasoning_content="a tool", tool_calls=[call("clock", {"zone": None, "n": 10**9, "x": 1e16})]),
    RESULT,
]
# Beside CONTEXTS, for templates that others made.
MORE_CONTEXTS = {
    "plain": called([message("user", "Hi")]),
    "plain_no_prompt": called([message("user", "Hi"), message("assistant", "Yes?")], add_generation_prompt=False),
    "system": called(CHAT[:2]),
    "developer": called([message("developer", "Be brief."), *CHAT[1:]]),
    "developer_tools": called([message("developer", "Be brief."), *CHAT[1:2]], tools=[WEATHER, CLOCK]),
    "many_turns": called(CHAT + [message("assistant", "Told."), message("user", "More."), message("assistant", " \n more \n"), message("user", "End.")]),
    "tools_no_system": called(TOOL_CHAT[1:4], tools=[WEATHER, CLOCK]),
    "tools_unused": called(CHAT, tools=[WEATHER, CLOCK]),
    "tool_strings": called([message("user", "x"), message("assistant", None, tool_calls=[call("clock", "{\"a\": \"ü\", \"b\": [1]}")]), RESULT], tools=[CLOCK]),
    "parallel": called(PARALLEL, tools=[WEATHER, CLOCK]),
    "parallel_answered": called(PARALLEL + [message("assistant", "21, cold, noon."), message("user", "Thanks")], tools=[WEATHER, CLOCK], parallel_tool_calls=True),
    "parallel_call_last": called(PARALLEL[:2], tools=[WEATHER, CLOCK], add_generation_prompt=False),
    "call_without_tools": called(PARALLEL),
    "thought": called(THOUGHT, tools=[CLOCK], enable_thinking=True),
    "thought_off": called(THOUGHT, tools=[CLOCK], enable_thinking=False, thinking=False),
    "thought_done": called(THOUGHT + [message("assistant", "<think>\n\n</think>\n\nfour")], add_generation_prompt=False, preserve_thinking=True, clear_thinking=False),
    "effort": called(CHAT[:2], reasoning_effort="high", thinking=True, enable_thinking=True, thinking_budget=512, model_identity="You are a test.", builtin_tools=["browser", "python"]),
    "documents": called(CHAT, documents=[{"title": "B", "text": "second"}, {"title": "Ä", "text": "first\n", "doc_id": 7}]),
    "citations": called(CHAT, documents=[{"title": "B", "text": "second", "id": "a"}], citation_mode="fast", grounding="enabled", safety_mode="NONE", response_format={"type": "json_object"}),
    "empty_messages": called([message("system", ""), message("user", ""), message("assistant", ""), message("user", " \n")]),
    "no_messages": called([]),
    "system_only": called([message("system", "Alone.")]),
    "ends_with_system": called([message("user", "a"), message("assistant", "b"), message("system", "c")]),
    "two_systems": called([message("system", "a"), message("system", "b"), message("user", "c")]),
    "other_role": called([message("user", "a"), message("critic", "b")]),
    "unicode_more": called([message("system", "日本語\r\n"), message("user", "é\u0301 \ud7ff\ue000\ufffd \U0001F469\u200d\U0001F4BB \u00ad\u2028 <|im_start|>\x00\x1f"), message("assistant", "ﬁ İ ß ǅ")]),
    "long": called([message("user" if i % 2 == 0 else "assistant", f"Part {i}: " + "words and words, " * (i % 7) + "ü\n" * (i % 3)) for i in range(201)]),
    "parts_text": called([message("user", [{"type": "text", "text": "what?"}, {"type": "text", "text": "\nwho? "}]), message("assistant", [{"type": "text", "text": "you"}])]),
    "parts_media": called([message("user", [{"type": "image", "image": "x.png"}, {"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "video", "video": "v"}, {"type": "input_audio"}])]),
    "parts_tools": called([message("user", [{"type": "text", "text": "go"}]), message("assistant", [{"type": "text", "text": "I go"}, {"type": "thinking", "thinking": "hm"}], tool_calls=[call("clock", {})]), message("tool", [{"type": "text", "text": "12"}], tool_call_id="abcdefghi", name="clock")], tools=[CLOCK]),
    "bare_call": called([message("user", "x"), {"role": "assistant", "tool_calls": [{"name": "clock", "arguments": {"a": [True, None]}}]}, message("tool", "12")], tools=[CLOCK["function"]]),
    "no_content": called([{"role": "user"}, {"role": "assistant", "tool_calls": None}]),
    "image_flags": called([message("user", [{"type": "image"}, {"type": "image"}])], add_vision_id=True, image_token="<image>", date_string="26 Jul 2024", keep_past_thinking=True),
    "strange": called([message("user", {"a": 1}), message("assistant", ["x", "y"])], tools={}, documents=[]),
}
