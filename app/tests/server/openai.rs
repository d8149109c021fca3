//! OpenAI's own client for Python.

use crate::pip::python_with;
use crate::process::start;

const SCRIPT: &str = r#"
import sys, openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="secret", max_retries=0)
assert [model.id for model in client.models.list()] == ["guide"]
ask = dict(model="guide", messages=[{"role": "system", "content": "Answer."}, {"role": "user", "content": "How do I open a model?"}])

whole = client.chat.completions.create(**ask, seed=1, temperature=0)
text = whole.choices[0].message.content
assert text and whole.choices[0].finish_reason == "stop"
assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens

pieces = []
for chunk in client.chat.completions.create(**ask, temperature=0, stream=True, stream_options={"include_usage": True}):
    if chunk.choices:
        pieces.append(chunk.choices[0].delta.content or "")
    else:
        assert chunk.usage.completion_tokens == whole.usage.completion_tokens
assert "".join(pieces) == text

scored = client.chat.completions.create(**ask, temperature=0, max_tokens=4, logprobs=True, top_logprobs=2)
assert len(scored.choices[0].logprobs.content) == 4
completion = client.completions.create(model="guide", prompt=["A", "B"], max_tokens=3, echo=True, logprobs=1)
assert [choice.text[0] for choice in completion.choices] == ["A", "B"]
assert completion.choices[0].logprobs.token_logprobs[0] is None

def refused(kind, **changes):
    try:
        client.chat.completions.create(**{**ask, **changes})
    except kind as error:
        return error
    raise SystemExit(f"{changes} was not refused")

assert refused(openai.NotFoundError, model="gpt-4").code == "model_not_found"
assert refused(openai.BadRequestError, temperature=99).param == "temperature"
try:
    openai.OpenAI(base_url=sys.argv[1], api_key="wrong", max_retries=0).models.list()
    raise SystemExit("a wrong key was accepted")
except openai.AuthenticationError:
    pass
with client.chat.completions.create(**ask, stream=True) as stream:
    next(iter(stream))

replies = client.chat.completions.create(**ask, n=3, temperature=1.5, seed=3, stop=["\n"], presence_penalty=0.5,
                                         logit_bias={"5": -100}, max_completion_tokens=20)
assert [choice.index for choice in replies.choices] == [0, 1, 2]
assert all("\n" not in choice.message.content for choice in replies.choices)
streams = {0: "", 1: ""}
for chunk in client.completions.create(model="guide", prompt=["A", "B"], max_tokens=5, stream=True, logprobs=2):
    streams[chunk.choices[0].index] += chunk.choices[0].text
assert streams[0] and streams[1]
print("done")
"#;

#[test]
fn openais_client_for_python_is_served() {
    let Some(python) = python_with("openai", "1.109.1", "OpenAI's client is not tested") else { return };
    let server = start(&["--api-key", "secret"]);
    let mut command = python.command();
    command.args(["-c", SCRIPT, &format!("http://{}/v1", server.address)]).env("NO_PROXY", "127.0.0.1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "done");
}
