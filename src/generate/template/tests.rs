use serde_json::json;

use super::{ChatTemplate, Message, TemplateOptions};

/// The kinds of template that common model families carry, shortened to what each does differently.
const CHATML: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
{{ '<|im_start|>system\nDefault.<|im_end|>\n' }}{% endif %}\
{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

const LLAMA3: &str = "{% for m in messages %}\
{% set content = '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' %}\
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";

const GEMMA: &str = "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}
{% for message in messages %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('roles must alternate') }}
    {% endif %}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}
{%- endfor %}
{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}";

const MISTRAL: &str =
    "{%- if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set loop_messages = messages[1:] %}
{%- else %}{% set loop_messages = messages %}{% endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message.role == 'user' %}
        {%- if loop.last and system is defined %}{{- '[INST] ' + system + '\n\n' + message.content + '[/INST]' }}
        {%- else %}{{- '[INST] ' + message.content + '[/INST]' }}{% endif %}
    {%- elif message.role == 'assistant' %}{{- ' ' + message.content.strip() + eos_token }}
    {%- endif %}
{%- endfor %}";

const PHI3: &str = "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}";

/// As Qwen3: tools as JSON lines, the last turns found from behind, thoughts split off.
const QWEN3: &str = r#"{%- if tools %}
    {{- '<tools>' }}
    {%- for tool in tools %}
        {{- "\n" + tool | tojson }}
    {%- endfor %}
    {{- '\n</tools>\n' }}
{%- endif %}
{%- set ns = namespace(last=-1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.last < 0 and message.role == "user" and not message.content.startswith('<tool_response>') %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == "assistant" and '</think>' in content and loop.index0 < ns.last %}
        {%- set content = content.split('</think>')[-1].lstrip('\n') %}
    {%- endif %}
    {{- message.role + ':' + content + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'assistant:' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}"#;

fn messages(turns: &[(&str, &str)]) -> Vec<Message> {
    turns.iter().map(|&(role, content)| Message::new(role, content)).collect()
}

fn prompt() -> TemplateOptions {
    TemplateOptions { add_generation_prompt: true, ..TemplateOptions::default() }
}

fn render(source: &str, turns: &[(&str, &str)], options: &TemplateOptions) -> crate::error::Result<String> {
    ChatTemplate::new(source, "<s>", "</s>")?.render(&messages(turns), options)
}

/// The output for no messages.
fn eval(source: &str) -> String {
    render(source, &[], &TemplateOptions::default()).unwrap_or_else(|error| error.to_string())
}

const TURNS: [(&str, &str); 3] = [("user", " Hi "), ("assistant", "Yes"), ("user", "2+2?")];

#[test]
fn chatml() {
    assert_eq!(
        render(CHATML, &[("user", "Hi")], &prompt()).unwrap(),
        "<|im_start|>system\nDefault.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    );
    assert_eq!(
        render(CHATML, &[("system", "S"), ("user", "Hi")], &TemplateOptions::default()).unwrap(),
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    );
}

#[test]
fn llama3_trims_and_opens_with_bos() {
    let head = |role: &str| format!("<|start_header_id|>{role}<|end_header_id|>\n\n");
    let want = format!(
        "<s>{}Hi<|eot_id|>{}Yes<|eot_id|>{}2+2?<|eot_id|>{}",
        head("user"),
        head("assistant"),
        head("user"),
        head("assistant")
    );
    assert_eq!(render(LLAMA3, &TURNS, &prompt()).unwrap(), want);
}

#[test]
fn gemma_renames_and_refuses() {
    assert_eq!(
        render(GEMMA, &TURNS, &prompt()).unwrap(),
        "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nYes<end_of_turn>\n\
         <start_of_turn>user\n2+2?<end_of_turn>\n<start_of_turn>model\n"
    );
    let system = render(GEMMA, &[("system", "S")], &prompt()).unwrap_err().to_string();
    assert_eq!(system, "chat template, line 1: no system role");
    let twice = render(GEMMA, &[("user", "a"), ("user", "b")], &prompt()).unwrap_err().to_string();
    assert_eq!(twice, "chat template, line 4: roles must alternate");
}

#[test]
fn mistral_puts_the_system_text_into_the_last_turn() {
    let turns = [("system", "S"), ("user", "a"), ("assistant", " b "), ("user", "c")];
    assert_eq!(render(MISTRAL, &turns, &prompt()).unwrap(), "<s>[INST] a[/INST] b</s>[INST] S\n\nc[/INST]");
}

#[test]
fn phi3_ends_with_eos_or_the_assistant() {
    assert_eq!(render(PHI3, &[("user", "a")], &prompt()).unwrap(), "<|user|>\na<|end|>\n<|assistant|>\n");
    assert_eq!(render(PHI3, &[("user", "a")], &TemplateOptions::default()).unwrap(), "<|user|>\na<|end|>\n</s>");
}

#[test]
fn qwen3_takes_tools_and_variables() {
    let turns = [("user", "a"), ("assistant", "<think>\nx\n</think>\n\nb"), ("user", "c"), ("user", "<tool_response>d")];
    assert_eq!(render(QWEN3, &turns, &prompt()).unwrap(), "user:a\nassistant:b\nuser:c\nuser:<tool_response>d\nassistant:");
    let tools = json!([{"type": "function", "function": {"name": "f", "about": "é <'&'>"}}]);
    let mut options = TemplateOptions { tools: Some(tools), ..prompt() };
    options.variables.insert("enable_thinking".into(), json!(false));
    // Keys keep their order, and nothing is escaped for HTML.
    let want = "<tools>\n{\"type\": \"function\", \"function\": {\"name\": \"f\", \"about\": \"é <'&'>\"}}\n</tools>\n\
                user:a\nassistant:<think>\n\n</think>\n\n";
    assert_eq!(render(QWEN3, &turns[..1], &options).unwrap(), want);
}

#[test]
fn variables_replace_special_tokens_but_not_messages() {
    let mut options = TemplateOptions::default();
    options.variables.extend([("bos_token".into(), json!("<B>")), ("messages".into(), json!([]))]);
    assert_eq!(render("{{ bos_token }}{{ messages|length }}{{ eos_token }}", &TURNS, &options).unwrap(), "<B>3</s>");
}

#[test]
fn messages_may_carry_more_fields() {
    let template = ChatTemplate::new("{% for m in messages %}{{ m.tool_calls[0].name }}{% endfor %}", "", "").unwrap();
    let call = json!({"role": "assistant", "content": "", "tool_calls": [{"name": "f"}]});
    assert_eq!(template.render(&[call], &TemplateOptions::default()).unwrap(), "f");
}

#[test]
fn whitespace_follows_trim_and_lstrip() {
    // A block alone on its line leaves nothing; the template's last line end goes; `+` keeps what `lstrip_blocks` would take.
    assert_eq!(eval("a\n   {% if true %}\nb\n   {% endif %}\nc\n"), "a\nb\nc");
    assert_eq!(eval("a\n  {%+ if true %}\nb{% endif %}"), "a\n  b");
}

#[test]
fn python_is_imitated() {
    assert_eq!(eval("{{ true }} {{ false }} {{ none }} {{ missing }}|"), "True False None |");
    assert_eq!(eval("{{ 'a,b'.split(',')|join('+') }} {{ ' x '.strip() }} {{ {'k': 1}.get('z', 2) }}"), "a+b x 2");
    assert_eq!(eval("{% for k, v in {'b': 1, 'a': 2}.items() %}{{ k }}{{ v }}{% endfor %}"), "b1a2");
    assert_eq!(eval("{{ tools is iterable }} {{ [] is iterable }} {{ tools is none }}"), "False True True");
    assert_eq!(
        eval("{% for i in range(9) %}{% if i == 1 %}{% continue %}{% elif i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}"),
        "023"
    );
}

#[test]
fn json_is_written_as_python_writes_it() {
    assert_eq!(eval("{{ {'b': [1, 2.5, none, true], 'a': {}}|tojson }}"), r#"{"b": [1, 2.5, null, true], "a": {}}"#);
    assert_eq!(
        eval("{{ {'b': 'é😀', 'a': 1}|tojson(ensure_ascii=true, sort_keys=true) }}"),
        r#"{"a": 1, "b": "\u00e9\ud83d\ude00"}"#
    );
    assert_eq!(eval("{{ [1, [], {'a': [2]}]|tojson(indent=2) }}"), "[\n  1,\n  [],\n  {\n    \"a\": [\n      2\n    ]\n  }\n]");
    assert_eq!(eval("{{ {'a': [1, 2]}|tojson(separators=(',', ':')) }}"), r#"{"a":[1,2]}"#);
    assert_eq!(eval("{{ 1|tojson(separators=['x']) }}"), "chat template, line 1: tojson: separators must be a pair");
}

#[test]
fn generation_blocks_are_transparent() {
    assert_eq!(eval("a {%- generation -%} b {%- endgeneration %}{% generation %}c{%endgeneration%}"), "abc");
    // Neither longer names nor text are touched.
    assert_eq!(eval("{% set generation = 1 %}{{ generation }}generation"), "1generation");
}

#[test]
fn the_date_is_todays() {
    let year = || jiff::Zoned::now().year().to_string();
    let (before, rendered, after) = (year(), eval("{{ strftime_now('%Y') }}"), year());
    assert!(rendered == before || rendered == after, "{rendered}");
    assert_eq!(eval("{{ strftime_now('%d %b %Y')|length }}"), "11");
    assert!(eval("{{ strftime_now('%') }}").starts_with("chat template, line 1: strftime_now: "));
}

#[test]
fn errors_name_the_line() {
    let unclosed = ChatTemplate::new("a\n{% if x %}\nb", "", "").unwrap_err().to_string();
    assert!(unclosed.starts_with("malformed chat template, line 3: syntax error"), "{unclosed}");
    assert!(eval("\n\n{{ messages.foo.bar }}").starts_with("chat template, line 3: undefined value"));
}

#[test]
fn hostile_templates_end_in_errors() {
    let too_much = "chat template, line 1: the template runs too long or makes too much text";
    assert_eq!(eval("{% for i in range(99999) %}{% for i in range(99999) %}{% endfor %}{% endfor %}"), too_much);
    let doubling = |step: &str, end: &str| {
        eval(&format!(
            "{{% set ns = namespace(x=['a']) %}}{{% for i in range(60) %}}{{% set ns.x = {step} %}}{{% endfor %}}{end}"
        ))
    };
    assert_eq!(doubling("ns.x ~ ns.x", ""), too_much);
    assert_eq!(eval("{{ 'a' * 10000000000 }}"), too_much);
    assert_eq!(doubling("[ns.x, ns.x]", "{{ ns.x|tojson|length }}"), "chat template, line 1: tojson: the result is too large");
    assert_eq!(doubling("[[[ns.x]]]", "{{ ns.x|tojson }}"), "chat template, line 1: tojson: the value is nested too deeply");
    assert_eq!(eval("{{ [1]|tojson(indent=99999999) }}"), "chat template, line 1: tojson: the indent is too large");
    assert!(eval("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}").contains("recursion limit"));
    assert!(eval(&"{% if true %}".repeat(100_000)).contains("recursion limit"));
}

#[test]
fn lists_nested_and_doubled_into_themselves_end() {
    let grown = |step: &str, times: usize, end: &str| {
        let source = format!(
            "{{% set ns = namespace(x=[1]) %}}{{% for i in range({times}) %}}{{% set ns.x = {step} %}}{{% endfor %}}{end}"
        );
        ChatTemplate::new(&source, "", "").unwrap().render::<Message>(&[], &TemplateOptions::default())
    };
    // Dropped, printed and compared 40,000 levels deep.
    assert_eq!(grown("[ns.x]", 40_000, "deep").unwrap(), "deep");
    assert_eq!(grown("[ns.x]", 40_000, "{{ ns.x }}").unwrap().len(), 80_003);
    assert_eq!(grown("[ns.x]", 40_000, "{{ ns.x == [ns.x] }}").unwrap(), "False");
    let error = grown("[ns.x, ns.x]", 60, "{{ ns.x }}").unwrap_err().to_string();
    assert!(error.contains("too long or makes too much text"), "{error}");
}
