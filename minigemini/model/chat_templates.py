"""Chat templates: messages in, the exact text of a prompt out. `{% generation %}` marks what a model learns to say.

A template joins a preamble that all share to the form of one format. Content is a string or a list of parts
`{"type": "image"}` and `{"type": "text", "text": …}`. A turn's pictures stand before its text; with two or more in a
prompt, each is introduced by `Image k:`.
"""

# Defines total.images, and content(message), which renders the pictures and the text of one turn.
CONTENT = """\
{%- set total = namespace(images=0, seen=0) -%}
{%- for message in messages if message['content'] is not string -%}
  {%- for part in message['content'] if part['type'] == 'image' -%}
    {%- set total.images = total.images + 1 -%}
  {%- endfor -%}
{%- endfor -%}
{%- macro content(message) -%}
  {%- if message['content'] is string -%}
    {{- message['content'] -}}
  {%- else -%}
    {%- for part in message['content'] if part['type'] == 'image' -%}
      {%- set total.seen = total.seen + 1 -%}
      {%- if total.images > 1 -%}{{- 'Image ' ~ total.seen ~ ':' -}}{%- endif -%}
      {{- '<image>\\n' -}}
    {%- endfor -%}
    {%- for part in message['content'] if part['type'] != 'image' -%}
      {%- if part['type'] != 'text' -%}
        {{- raise_exception('a part is of type "image" or "text", but got "' ~ part['type'] ~ '"') -}}
      {%- endif -%}
      {{- part['text'] -}}
    {%- endfor -%}
  {%- endif -%}
{%- endmacro -%}
"""

NANO = (
    CONTENT
    + """\
{{- bos_token -}}
{%- for message in messages -%}
  {%- if message['role'] == 'user' -%}
    {{- '<|user|>' ~ content(message) -}}
  {%- elif message['role'] == 'assistant' -%}
    {{- '<|assistant|>' -}}
    {%- generation -%}{{- content(message) ~ eos_token -}}{%- endgeneration -%}
  {%- else -%}
    {{- raise_exception('roles are "user" and "assistant", but got "' ~ message['role'] ~ '"') -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}
"""
)

CHAT_TEMPLATES = {"nano": NANO}
"""The template of each chat format, by name."""
