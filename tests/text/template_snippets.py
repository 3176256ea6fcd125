"""Small templates, one question each. Rendered with CONTEXT of make_template_golden."""

# Expressions; each becomes {{ expression }}.
EXPRESSIONS = r"""
1 + 2 * 3
(1 + 2) * 3
2 ** 3 ** 2
-2 ** 2
2 ** -1
-3 // 2
-3 % 2
3 % -2
7 // 2.0
7.5 % 2
-7.5 % 2
7.5 // -2
1 / 2
6 / 3
1 / 0
1 // 0
1 % 0
1.0 / 0
0 ** 0
0 ** -1
10 ** 15
10.0 ** 400
9223372036854775807
9223372036854775806 + 1
5 - -5
- - 5
+5
-true
+true
true + true
true * 3
1.5 + 1
0.1 + 0.2
1e3
1E-5
1.0
100.0
1e15
1e16
123456789012345680.0
1e22
1.5e300 * 1e10
0.0001
0.00001
1_000
0x1F
0b101
0o17
1.2.3
3.14 | string
2.5 | round
3.5 | round
2.675 | round(2)
2.5 | round(0, 'ceil')
2.1 | round(0, 'ceil')
2.99 | round(1, 'floor')
7 | round
1 < 2 < 3
1 < 3 < 2
3 > 2 > 1
1 == 1.0
1 == true
0 == false
'a' < 'b'
'B' < 'a'
'é' > 'z'
[1, 2] < [1, 3]
[1, 2] == [1, 2]
(1, 2) == [1, 2]
{'a': 1} == {'a': 1.0}
1 < 'a'
none < 1
none == none
none == false
'a' == 1
not true
not not 1
not none
true and false
1 and 2
0 and 2
0 or 'x'
'' or none
'' or [] or {} or 0
1 or missing.x
missing and missing.x
1 in [1, 2]
3 not in [1, 2]
'b' in 'abc'
'' in ''
1 in 'abc'
'a' in {'a': 1}
1 in {'a': 1}
missing in [1]
1 in missing
1 in none
1 in 5
not 1 in [1]
not (1 in [1])
'a' ~ 1 ~ none ~ true ~ 1.5
1 ~ 2
'x' ~ missing
'a' 'b' "c"
'a' + 'b' * 3
3 * 'ab'
'ab' * 0
'ab' * -1
[1] * 3
[1, 2] + [3]
(1,) + (2,)
[1] + (2,)
'a' + 1
1 + 'a'
[] + none
'a' if true else 'b'
'a' if false else 'b'
'a' if false
('a' if false) is defined
'a' if 0 else 'b' if 0 else 'c'
1 + 2 if true else 3
[1, 2, 3]
[1, 'a', none, true, 1.0, [2], {'k': 'v'}, (1,), ()]
(1, 2)
1, 2
(1,)
()
{}
{'a': 1, 'b': [1, 2]}
{1: 'x', none: 'y', true: 'z', 1.5: 'w'}
{'a': 1, 'a': 2}
{[1]: 2}
['it\'s', 'say "hi"', 'both \' and "', 'new\nline', 'tab\t', 'back\\slash', 'nul\0', 'é', '\u200b', '😀', '\x7f', '\xa0']
'esc: \n \t \\ \' \" \x41 \u00e9 \101 \d \e'
"multi
line"
'\
continued'
text[0]
text[-1]
text[100]
text[1:3]
text[:-1]
text[::-1]
text[::2]
text[5:1]
text[5:1:-1]
text[10:0:-2]
text[1:none]
text['a':2]
text[::0]
unicode[1]
unicode[-2:]
unicode[::-1]
unicode | length
list[0]
list[-1]
list[9]
list[1:]
list[:2]
list[::-1]
list[-2:]
list.0
list.5
list['0']
list[true]
list[1.0]
list[0, 1]
missing[1:]
missing[1]
missing.x
missing.x.y
missing
missing is defined
missing is undefined
missing is none
dict.a
dict['a']
dict.zz
dict.zz.y
dict['zz'] is defined
dict['items'] is defined
dict['items'] is callable
dict.items()
dict.keys()
dict.values()
dict.items() | list
dict.keys() | list
dict.values() | list
dict.items() | length
dict.items()[0]
dict.get('a')
dict.get('zz')
dict.get('zz', 'default')
dict.get()
dict.update({'x': 1})
dict.pop('a')
dict.update
dict.update is defined
dict.copy()
list.append(4)
list.index(2)
list.index(9)
list.count(1)
list.copy()
list.sort()
dict | length
dict | list
dict | first
nested.a.b.c
nested['a']['b']['c']
nested.a.x.c
text.upper()
text.lower()
text.title()
'hello wORLD foo-bar'.title()
'hello wORLD foo-bar' | title
'it\'s'.title()
'it\'s' | title
text.capitalize()
'éa'.upper()
'ß'.upper()
'ß'.capitalize()
'ΑΣ'.lower()
'İ'.lower()
'ǆ'.title()
'aB1é'.swapcase()
'  x '.strip() ~ '|'
'  x '.lstrip() ~ '|'
'  x '.rstrip() ~ '|'
'xxaxx'.strip('x')
'abcba'.strip('ab')
'abcba'.lstrip('ab')
'\u00a0\u2003x\u3000'.strip()
'\n\t x\x1c'.strip() ~ '|'
'a,b,,c'.split(',')
'a,b,,c'.split(',', 1)
'a,b,,c'.rsplit(',', 1)
' a  b c '.split()
' a  b c '.split(none, 1)
' a  b c '.rsplit(none, 1)
''.split()
''.split(',')
'abc'.split('')
'a</think>b</think>c'.split('</think>')[-1]
'a\nb\r\nc\rd\x0be'.splitlines()
'a\nb\n'.splitlines(true)
'abc'.startswith('ab')
'abc'.startswith(('x', 'a'))
'abc'.startswith('b', 1)
'abc'.endswith('bc')
'abc'.endswith('')
'abc'.startswith(1)
'abcabc'.find('c')
'abcabc'.find('x')
'abcabc'.rfind('c')
'abcabc'.find('c', 3)
'abcabc'.find('c', -3, -1)
'éaéb'.find('b')
'abcabc'.index('x')
'abcabc'.count('bc')
'aaa'.count('aa')
'abc'.count('')
'abcabc'.replace('b', 'XX')
'abcabc'.replace('b', 'X', 1)
'abc'.replace('', '-')
'abc'.replace('', '-', 2)
', '.join(['a', 'b'])
', '.join([1])
'-'.join('abc')
'{} {}'.format(1, 'a')
'{0} {1} {0}'.format('a', 'b')
'{a} {b}'.format(a=1, b=[1])
'{{}}'.format()
'{:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:,}|{:x}'.format('a', 'b', 'c', 42, 3.14159, 1234567, 255)
'{!r}'.format('a')
'{} {}'.format(1)
'{'.format()
'%s %d %5.2f|%-5s|%05d|%x' % ('a', 42, 3.14159, 'b', 42, 255)
'%s' % 'x'
'%s' % [1]
'%(a)s' % {'a': 1}
'%s %s' % ('a',)
'%s' % ('a', 'b')
'%d' % 'a'
'%%' % ()
'abc' % []
'%s and %s' | format('a', 'b')
'%(x)s' | format(x=1)
'7'.zfill(3)
'-7'.zfill(4)
'a'.center(4) ~ '|'
'a'.center(5, '*')
'ab'.center(5, '*')
'a'.ljust(3, '.')
'a'.rjust(3, '.')
'a\tb'.expandtabs(4)
'abc'.partition('b')
'abc'.rpartition('x')
'abc'.removeprefix('a')
'abc'.removesuffix('c')
'abc'.isalpha()
'ab1'.isalnum()
'12'.isdigit()
'½'.isnumeric()
''.isdigit()
'aB'.islower()
'ab1'.islower()
'AB'.isupper()
'Ab Cd'.istitle()
'  '.isspace()
'abc'.nosuchmethod
'abc'.nosuchmethod()
'abc'.upper is callable
'abc'.__class__
text.__class__.__mro__
dict.__class__ is defined
(1).foo
none.foo
none.foo.bar
true.foo
range(3)
range(3) | list
range(1, 4) | list
range(5, 0, -2) | list
range(0)
range(0, 10, 3)
range(3)[1]
range(3)[-1]
range(10)[2:5]
range(3) | length
range(1, 2, 0)
range('a')
range(100001)
range(100000) | length
2 in range(3)
range(3) == range(0, 3)
dict(a=1, b=2)
dict({'a': 1}, b=2)
dict([('a', 1), ['b', 2]])
namespace(a=1)
namespace(a=1).a
namespace(a=1).b
namespace(a=1).b is defined
namespace(a=1)['a']
text | upper | lower
text | trim | length
'  x ' | trim ~ '|'
'xxa' | trim('x')
5 | upper
none | upper
missing | upper
missing | default('d')
none | default('d')
none | default('d', true)
'' | default('d')
'' | d('d', true)
0 | default('d', boolean=true)
missing | default
dict.zz | default('d')
missing.x | default('d')
list | first
list | last
[] | first
[] | last
'abc' | first
'abc' | last
dict | last
missing | first
missing | last
5 | first
5 | length
none | length
missing | length
list | length
list | count
'abc' | list
dict | list
missing | list
none | list
list | join
list | join(', ')
list | join(none)
['a', none, 1.5] | join('-')
users | join(', ', attribute='name')
users | map(attribute='name') | join(',')
users | map(attribute='address.city') | join(',')
users | map(attribute='nope') | join(',')
users | map(attribute='nope', default='?') | join(',')
['a', 'b'] | map('upper') | list
['a-b', 'c-d'] | map('replace', '-', '+') | join(' ')
[[1, 2], [3]] | map('length') | list
[1, 2] | map('nofilter') | list
[1, 2] | map | list
none | map('upper') | list
[[1, 2], [3, 4]] | map(attribute=0) | list
[[1, 2], [3, 4]] | map('first') | list
users | selectattr('age') | map(attribute='name') | list
users | selectattr('age', 'gt', 30) | map(attribute='name') | list
users | selectattr('name', 'equalto', 'Bob') | list | length
users | selectattr('nope', 'defined') | list
users | selectattr('address.city', 'eq', 'Rome') | map(attribute='name') | list
users | rejectattr('age', '>=', 30) | map(attribute='name') | list
users | rejectattr('name', 'in', ['Bob']) | map(attribute='name') | list
[0, 1, 2, 3] | select | list
[0, 1, 2, 3] | select('odd') | list
[0, 1, 2, 3] | reject('odd') | list
[1, 2, 3, 4, 6] | select('divisibleby', 3) | list
[0, 1] | select('notest') | list
['a', 1, none] | select('string') | list
'yes' if users | selectattr('name', 'equalto', 'Nobody') else 'no'
(users | selectattr('name')) is iterable
(users | selectattr('name')) is sequence
(users | selectattr('name'))[0]
users | selectattr('name') | first
list | map('string') | length
[3, 1, 2] | sort
[3, 1, 2] | sort(reverse=true)
['b', 'A', 'c'] | sort
['b', 'A', 'c'] | sort(case_sensitive=true)
[1, 'a'] | sort
[1, none] | sort
[true, 0, 2.5] | sort
users | sort(attribute='age') | map(attribute='name') | list
users | sort(attribute='address.city,name') | map(attribute='name') | list
users | sort | length
{'b': 1, 'a': 2, 'C': 0} | dictsort
{'b': 1, 'a': 2, 'C': 0} | dictsort(true)
{'b': 1, 'a': 2} | dictsort(by='value')
{'b': 1, 'a': 2} | dictsort(reverse=true)
{'b': 1} | dictsort(by='x')
[1] | dictsort
[1, 2, 1, 'A', 'a'] | unique | list
[1, 1.0, true] | unique | list
[[1], [1]] | unique | list
users | unique(attribute='address.city') | map(attribute='name') | list
[1, 2, 3] | reverse | list
'abc' | reverse
'aé😀' | reverse
5 | reverse
dict | reverse | list
[1, 2, 3] | sum
[1.5, 2] | sum
[] | sum
users | sum(attribute='age')
[[1], [2]] | sum(start=[])
['a'] | sum
[3, 1, 2] | min
[3, 1, 2] | max
['b', 'A'] | min
[] | max
users | max(attribute='age')
[1, 'a'] | max
'abc' | max
dict | items | list
missing | items | list
5 | items | list
[1, 2, 3, 4, 5] | batch(2) | list
[1, 2, 3, 4, 5] | batch(2, 'x') | list
[1, 2, 3, 4, 5] | slice(2) | list
[1, 2, 3, 4, 5] | slice(3, 'x') | list
'a b' | replace(' ', '_')
'aaa' | replace('a', 'b', 2)
5 | replace('5', 'x')
'a' | string
5 | string
none | string
[1] | string
true | string
'42' | int
'4x' | int
'4x' | int(7)
'3.9' | int
3.9 | int
-3.9 | int
true | int
none | int
none | int(5)
'0x1F' | int(0, 16)
'1F' | int(base=16)
'  12  ' | int
'1_0' | int
'1e3' | int
'inf' | int
'nan' | int
missing | int
[] | int
'3.5' | float
'x' | float
'x' | float(1.5)
5 | float
'1e400' | float
'-inf' | float
none | float
missing | float
-5 | abs
-5 | abs | string
(-5) | abs
-2.5 | abs
'a' | abs
'one two  three' | wordcount
'é_1 a-b' | wordcount
'word ' * 5 | truncate(9)
('word ' * 20) | truncate(30)
('word ' * 20) | truncate(30, true)
('word ' * 20) | truncate(30, true, '…', 0)
'short' | truncate(3)
'a\nb\n\nc' | indent
'a\nb\n\nc' | indent(2)
'a\nb\n\nc' | indent(2, true)
'a\nb\n\nc' | indent(2, first=true, blank=true)
'a\nb' | indent('> ')
'a\n' | indent ~ '|'
5 | indent
'a' | center(5) ~ '|'
'hello' | capitalize
'HELLO wORLD' | capitalize
{'a': 1} | tojson
{'a': [1, 2.0, 'x', none, true], 'é': {'b': {}}} | tojson
{'a': [1, {'b': []}], 'c': {}} | tojson(indent=2)
{'a': [1, 2]} | tojson(indent=0)
[1, 2] | tojson(indent='--')
{'b': 1, 'a': 2} | tojson(sort_keys=true)
{'b': 1, 'a': 2} | tojson(separators=(',', ':'))
{'b': 1, 'a': [1]} | tojson(indent=4, separators=(',', ': '), sort_keys=true)
'é😀<>&\'"\\/\n\x01\x7f\u2028' | tojson
'é😀' | tojson(ensure_ascii=true)
(1, 2) | tojson
{1: 2, none: 3, true: 4, 1.5: 6} | tojson
{(1, 2): 3} | tojson
missing | tojson
range(3) | tojson
dict.items() | tojson
(1e400) | tojson
1e16 | tojson
none | tojson
tools | tojson
tools | tojson(indent=4)
tools
'<b>' | safe
'<b>' | safe | length
('<b>' | safe) ~ '&'
('<b>' | safe) + '&<'
'&<' + ('<b>' | safe)
('<a>' | safe) + ('<b>' | safe)
('<b>' | safe) + 1
'<b>&"\'' | escape
'<b>' | e | e
'<b>' | e | forceescape
none | escape
missing | escape
[1, '<'] | escape
'x' | escape is escaped
'a' | nofilter if false else 'b'
'a' is notest if false else 'b'
'b' if true else 'a' | nofilter
1 is odd
2 is even
2 is odd
'a' is odd
6 is divisibleby 3
6 is divisibleby(4)
1 is number
true is number
true is integer
1 is integer
1.0 is integer
1.0 is float
'a' is string
1 is string
none is none
missing is none
true is true
1 is true
false is false
true is boolean
1 is boolean
{} is mapping
[] is mapping
[] is sequence
'a' is sequence
{} is sequence
1 is sequence
missing is sequence
range(3) is sequence
dict.keys() is sequence
[] is iterable
'a' is iterable
1 is iterable
missing is iterable
none is iterable
dict.items() is iterable
namespace() is iterable
'abc' is lower
'ABC' is upper
'aBC' is lower
5 is lower
1 is eq 1
1 is equalto 2
1 is ne 2
1 is lt 2
2 is gt 1
1 is ge 1
1 is le 0
1 is lessthan 2
1 is greaterthan 2
1 is in [1, 2]
'a' is in 'abc'
none is sameas none
true is sameas true
1 is not odd
missing is not defined
text is not none
not text is none
text is string and text is not none
text is defined and text
1 is defined is defined
'upper' is filter
'nofilter' is filter
'odd' is test
range is callable
text is callable
missing is callable
text is escaped
missing == missing
missing == other_missing
missing != none
missing + 1
1 + missing
missing ~ 'x'
missing * 2
-missing
missing < 1
missing()
missing | join
[missing]
[missing] | join('-')
none | join
text()
text.foo()
dict.a()
raise_exception('boom')
raise_exception()
strftime_now('%Y-%m-%d')
strftime_now('%d %b %Y %H:%M:%S %%')
list | map('tojson') | join(' ')
strftime_now('%f|%z|%Z|%j|%-d|%e|%I|%p|%y|%C|%G-%V|%u|%w|%U|%W|%D|%F|%T|%R|%r|%c|%x|%X|%n|%t|%h|%s|%k|%l|%^a|%03d|%_5d|%Ey|%Od|%10Y')
users | groupby('address.city')
users | groupby('name', case_sensitive=true) | map('first') | join(',')
(users | groupby('address.city') | first).grouper
(users | groupby('address.city') | last).list | length
[['b', 1], ['A', 2], ['B', 3]] | groupby(0)
dict | attr('a')
text | attr('upper') is callable
text | attr(1)
'a b/ü?&' | urlencode
{'a b': 'c/d', 'ü': 1} | urlencode
[('a', 1), ('b', none)] | urlencode
'{a}' .format_map({'a': 1})
1 if 2 if 3
(1 if 0 if 1) is defined
1 if 0 else 2 if 0 else 3 if 0
joiner(', ')()
cycler('a', 'b').next()
cycler('a', 'b').current
cycler()
[1, 2, 3].index(3)
(1, 2, 3).count(2)
{'a': {'b': [10, 20]}}.a.b[1]
[[1, 2], [3, 4]][1][0]
'abc'[1].upper()
('a' ~ 'b').upper()
'a' ~ 'b'.upper()
'a' ~ 'b' | upper
('a' ~ 'b') | upper
1 + 2 | string
-1 | string
2 * 3 ~ 4
1 + 2 ~ 3
'a' in 'abc' and 'd' not in 'abc'
1 if 2 > 1 and 3 > 2 else 0
[1 if true else 2, 3]
{'a' if true else 'b': 1}
text | upper == 'HELLO WORLD'
'a' == 'a' | lower
not text == 'x'
list == [1, 2, 3]
list is eq [1, 2, 3]
*list
text |
text | nofilter
text is notest
1 +
(1
[1, 2
{'a' 1}
'unclosed
1 2
text text
text.
text[
text[]
@
a = 1
text | upper(
f(x=1, x=2)
f(x=1, 2)
big
big == big
big | string
big | tojson
float_value
float_value | tojson
negative_zero
{'a': 1}.items() | list | first | last
dict(dict, c=3)
users[0].address.city
users | map(attribute='age') | sum
users | map(attribute='age') | max
(users | first).name
(users | map(attribute='name') | list)[-1]
users | length > 2
users | length == 3 and 'yes' or 'no'
text.split(' ') | map('capitalize') | join(' ')
text.split()[0]
('%02d' % 5) ~ ':' ~ '%02d' % 30
'%.3f' % 2
'%5s|%-5s|%+d|% d' % ('a', 'b', 5, 5)
'%i' % 3.9
'%s' % none
'%r' % 'a'
'%c' % 'a' if false else 'skipped'
'%e' % 12345.678
'%g' % 0.00001
'%G|%X|%o' % (1e20, 255, 8)
'{:+d} {:08.3f} {:e} {:g} {:%}'.format(5, 3.14159, 12345.6789, 0.00001, 0.25)
'{:*^9}'.format('mid')
'{:>{w}}'.format('a', w=5) if false else 'skipped'
'{:d}'.format('a')
'{:s}'.format(5)
'{:.3}'.format('abcdef')
'{:5}|{:<5}|'.format(5, 5)
'{:#x} {:b} {:o}'.format(255, 5, 8)
'{0:>3}{1:>3}'.format(1, 2)
'{} {0}'.format(1)
'{x}'.format()
'}'.format()
'{:,}'.format(-1234567.891)
'{:,.2f}'.format(1234567.891)
""".strip("\n").split("\n")

# Whole templates; "\n" in them is a newline.
TEMPLATES = [
    # white space
    "a\n", "a\n\n", "a\r\nb\rc\n", "\n", "", "  a  ", "a {{ 1 }} b\n", "{{ 1 }}\n", "{{ 1 }}\n{{ 2 }}\n",
    "{% if true %}\na\n{% endif %}\nb", "  {% if true %}\n  a\n  {% endif %}\n  b", "x  {% if true %}a{% endif %}  y",
    "  {%+ if true %}a{% endif %}", "  {%- if true %}  a  {%- endif %}  b", "a\n\n  {%- if true -%}\n\n b \n{%- endif -%}\n c",
    "{% if true +%}\na{% endif %}", "{% if true -%}\n\n  a{% endif %}", "  {{- 1 -}}  x", "  {{ 1 }}  x", "\n  {{- 1 }}\n",
    "{# c #}\na", "  {# c #}\na", "x {# c #} y", "{#- c -#}\n\na", "a\n\n{#- c #}b", "  {#+ c +#}\n a", "{# {{ x }} {% if %} #}a",
    "{# unclosed", "{#-#}x", "{#--#}x", "a{# #}b", "\t{% if true %}\tx{% endif %}\t",
    "{% raw %}{{ x }} {% if %}{% endraw %}", "{% raw %}\n a\n{% endraw %}\nb", "{%- raw -%}  a  {%- endraw -%}  b", "  {% raw %}a{% endraw %}",
    "{% raw %}unclosed", "{%raw%}a{%endraw%}", "{% raw %}{% raw %}{% endraw %}", "  {% raw +%}a{% endraw %}", "a\n  {% raw %}\n  b\n  {% endraw %}\n c",
    "{{'a'}}{{'b'}}", "{{'}}'}}", "{{ {'a': {'b': 1}} }}", "{{ {'a': {'b': 1}}}}", "{%set x = '%}'%}{{x}}", "{{ '{{ x }}' }}", "{ { x } }", "{", "}}", "%}", "a { b",
    "{{ 1 -}}\n\n{{- 2 }}", "{{\n1\n+\n2\n}}", "{%\nif\ntrue\n%}x{%\nendif\n%}", "{% if true %}{% endif %}\n\nx", "x\n{% set a = 1 %}\ny\n{% set b = 2 %}\n",
    "{{ 1 }}\n\n", "a\n  {{ 1 }}\n", "{% for i in [1,2] %}\n  {{ i }}\n{% endfor %}\n", "{% for i in [1,2] -%}\n  {{ i }}\n{%- endfor %}\n",
    "\u00a0{%- if true %}a{% endif %}", "\u3000\n  {% if true %}a{% endif %}", "a\x0b{%- if true %}b{% endif %}", "x\n \x0c {% if true %}b{% endif %}",
    # if
    "{% if 0 %}a{% elif 1 %}b{% else %}c{% endif %}", "{% if 0 %}a{% elif 0 %}b{% else %}c{% endif %}", "{% if missing %}a{% endif %}", "{% if missing.x %}a{% endif %}",
    "{% if 1, %}a{% endif %}", "{% if %}a{% endif %}", "{% if 1 %}a", "{% if 1 %}a{% endfor %}", "{% endif %}", "{% else %}", "{% if 1 %}a{% else %}b{% else %}c{% endif %}", "{% if 1 %}{% if 0 %}a{% else %}b{% endif %}{% endif %}",
    "{% if 1: %}a{% endif %}", "{% if 1 %}a{% endif x %}", "{% if 'a' if true else '' %}x{% endif %}",
    # for
    "{% for i in [1,2,3] %}{{ i }},{% endfor %}", "{% for i in 'aé😀' %}[{{ i }}]{% endfor %}", "{% for k in dict %}{{ k }}{% endfor %}", "{% for k, v in dict.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in dict|items %}{{ k }}={{ v }};{% endfor %}", "{% for i in [] %}a{% else %}empty{% endfor %}", "{% for i in missing %}a{% else %}empty{% endfor %}", "{% for i in none %}a{% endfor %}", "{% for i in 5 %}a{% endfor %}",
    "{% for i in range(3) %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "{% for i in 'abc' %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}", "{% for i in 'abc' %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    "{% for i in range(5) %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for i in [1,1,2,2,1] %}{{ loop.changed(i) }} {% endfor %}", "{% for i in [1,2] %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}", "{% for i in [1] %}{{ loop.nope is defined }}{{ loop['index'] }}{% endfor %}",
    "{% for i in [1,2,3,4] if i is even %}{{ i }}:{{ loop.index }}/{{ loop.length }}{{ loop.last }} {% endfor %}", "{% for i in [1,3] if i is even %}x{% else %}none{% endfor %}", "{% for i in [1,2,3,4,5] if i is odd %}{{ loop.previtem }}-{{ i }}-{{ loop.nextitem }};{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for i in [1,2,3,4] if i > ns.n %}{{ i }}{% set ns.n = ns.n + 2 %}{% endfor %}", "{% set ns = namespace(n=0) %}{% for i in [1,2,3,4] if i > ns.n %}{{ i }}{{ loop.last }}{% set ns.n = ns.n + 2 %}{% endfor %}",
    "{% for i in [1,2,3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "{% for i in [1,2,3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for i in [1] %}{% break %}{% else %}else{% endfor %}", "{% for i in [1] %}{% continue %}{% else %}else{% endfor %}",
    "{% for i in [1,2] %}{% continue %}{% else %}else{% endfor %}", "{% for i in [1,2] %}{{ i }}{% if i == 2 %}{% break %}{% endif %}{% else %}else{% endfor %}",
    "{% break %}", "{% continue %}", "{% for i in [1] %}{% macro f() %}{% break %}{% endmacro %}{% endfor %}", "{% for (a, b) in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{% endfor %}", "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}", "{% for a, b in [1] %}{{ a }}{% endfor %}", "{% for a, in [(1,)] %}{{ a }}{% endfor %}", "{% for a, b in ['xy', 'zw'] %}{{ b }}{{ a }}{% endfor %}", "{% for loop in [1] %}{% endfor %}", "{% for i, loop in [(1, 2)] %}{% endfor %}",
    "{% for i in [1] %}{{ i }}{% endfor %}{{ i }}", "{% set i = 9 %}{% for i in [1] %}{{ i }}{% endfor %}{{ i }}", "{% for i in [1,2] %}{% for j in [3,4] %}{{ i }}{{ j }}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}", "{% for i in [1,2] %}{% set outer = loop %}{% for j in 'ab' %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
    "{{ loop }}", "{{ loop is defined }}", "{% for i in [1] %}{% endfor %}{{ loop is defined }}", "{% for x in [1,2,3] | reverse %}{{ x }}{{ loop.last }}{{ loop.length }}{% endfor %}", "{% for x in users | selectattr('age') %}{{ loop.index }}/{{ loop.length }} {{ x.name }};{% endfor %}", "{% for x in users | map(attribute='name') %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% for i in range(10) %}{% if loop.index > 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for i in 1, 2 %}{{ i }}{% endfor %}", "{% for i in [1,2] if true else [3] %}{{ i }}{% endfor %}", "{% for i in ([1,2] if true else [3]) %}{{ i }}{% endfor %}", "{% for i in [1] %}", "{% for in [1] %}{% endfor %}", "{% for i [1] %}{% endfor %}", "{% for 1 in [1] %}{% endfor %}",
    "{% set g = [1,2,3]|select %}{% for i in g %}{{ i }}{% break %}{% endfor %}{{ g|list }}", "{% set g = [1,2,3]|select %}{{ g|first }}{{ g|list }}{{ g|list }}", "{% set g = []|select %}{{ 'true' if g else 'false' }}",
    "{% for m in messages %}{{ m.role }}{% if loop.first %}!{% endif %}{% endfor %}", "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}{% endif %}{% endfor %}ok",
    # set and scopes
    "{% set x = 1 %}{{ x }}", "{% set x, y = 1, 2 %}{{ x }}{{ y }}", "{% set x = 1, 2 %}{{ x }}", "{% set (x, y) = (1, 2) %}{{ x }}{{ y }}", "{% set x, y = [1] %}", "{% set x = 1 %}{% for i in [1,2] %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}",
    "{% for i in [1,2,3] %}{% if loop.first %}{% set x = 5 %}{% endif %}{{ x }},{% endfor %}", "{% if true %}{% set x = 1 %}{% endif %}{{ x }}", "{% if false %}{% set text = 1 %}{% endif %}{{ text }}", "{{ text }}{% set text = 2 %}{{ text }}", "{% set x %}a{{ 1 }}b{% endset %}{{ x }}|{{ x | length }}", "{% set x | upper %}abc{% endset %}{{ x }}",
    "{% set x | upper | replace('A', 'z') %}abc{% endset %}{{ x }}", "{% set x %}{% set y = 1 %}{{ y }}{% endset %}{{ x }}{{ y }}", "{% set ns = namespace(a=1) %}{% for i in [1,2,3] %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}", "{% set ns = namespace() %}{% set ns.x = 1 %}{{ ns.x }}{{ ns.y is defined }}", "{% set ns = namespace() %}{% set ns.x %}block{% endset %}{{ ns.x }}", "{% set dict.a = 1 %}", "{% set missing.a = 1 %}",
    "{% set ns = namespace(a=1, b='x') %}{{ ns }}", "{% set a.b.c = 1 %}", "{% set a['b'] = 1 %}", "{% set true = 1 %}", "{% set none = 1 %}", "{% set x %}", "{% set x = %}", "{% set 1 = 2 %}", "{% set x = 1 if false %}{{ x is defined }}", "{% set x = missing %}{{ x is defined }}", "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}", "{% set ns = namespace(a=[1]) %}{% set ns.a = ns.a + [2] %}{{ ns.a }}",
    "{% set x = 5 %}{% set x = x * 2 %}{{ x }}", "{% set loop = 5 %}{{ loop }}", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}", "{% with a, b = (1, 2) %}{{ a }}{{ b }}{% endwith %}",
    "{% set range = 5 %}{{ range }}", "{% set x = true %}{% if x is true %}y{% endif %}", "{% set messages = messages[1:] %}{{ messages | length }}", "{% set a, = [1] %}{{ a }}", "{% set a, b, c = 'xyz' %}{{ c }}{{ b }}{{ a }}", "{% set x = [] %}{% set _ = x.append(1) %}{{ x }}",
    # names that a later assignment hides
    "{% for i in [1] %}{{ text }}{% endfor %}{% set text = 2 %}{{ text }}", "{{ text }}{% for i in [1] %}{{ text }}{% endfor %}{% set text = 2 %}{{ text }}", "{% for i in [1] %}{{ text }}{% endfor %}{% if true %}{% set text = 2 %}{% endif %}{{ text }}",
    "{% macro f() %}{{ text }}{% endmacro %}{{ f() }}{% set text = 2 %}{{ f() }}", "{% for i in [1] %}{% for j in [1] %}{{ text }}{% endfor %}{% set text = 2 %}{% endfor %}{{ text }}", "{% with %}{{ text }}{% endwith %}{% set text %}x{% endset %}{{ text }}",
    "{% for i in [1] %}{{ text is defined }}{% endfor %}{% macro text() %}{% endmacro %}", "{% for i in [1] %}{{ range is defined }}{% endfor %}{% set range = 1 %}", "{% filter upper %}{{ text }}{% endfilter %}{% set text, y = 1, 2 %}", "{% set x %}{{ text }}{% endset %}{{ x }}{% set text = 1 %}",
    "{% for i in [1] if text %}x{% endfor %}{% set text = 1 %}", "{% set ns = namespace(a=1) %}{% for i in [1] %}{% set ns.a = text %}{% endfor %}{{ ns.a }}{% if ns %}{% else %}{% set text = 1 %}{% endif %}", "{% set text = text %}{% for i in [1] %}{{ text }}{% endfor %}",
    "{% generation %}{{ text }}{% endgeneration %}{% set text = 1 %}", "{% macro f(a=text) %}{{ a }}{{ text }}{% set text = 1 %}{% endmacro %}{{ f() }}", "{% for x, y in ['ab', 'cd'] if x %}{{ loop.previtem }}{{ loop.nextitem }}{% endfor %}",
    "{% for x in [1, [2, [3, []]], 4] recursive %}{{ loop.depth }}{{ loop.depth0 }}{% if x is iterable %}<{{ loop(x) }}>{% else %}{{ x }},{% endif %}{% endfor %}", "{% for x in [[], [1]] recursive %}{{ loop(x) }}{% else %}none{% endfor %}", "{% for k, v in dict.items() recursive %}{{ k }}{{ loop.index }}{% endfor %}",
    "{% for x in [1, 2, 3] if x > 1 recursive %}{{ x }}{% if x == 3 %}{{ loop([1, 5]) }}{% endif %}{% endfor %}", "{% for x in [1] %}{{ loop([2]) }}{% endfor %}", "{% for x in [[1, 2], [3]] recursive %}{% set y = x %}{{ y }}{% if x is iterable %}{{ loop(x) }}{% endif %}{{ y }}{% endfor %}{{ y is defined }}", "{% for x in [[1, 2], [3]] recursive %}{% if x == 2 %}{% break %}{% endif %}{{ loop.first }}{% if x is iterable %}{{ loop(x) }}{% endif %}{% endfor %}",
    "{% for x in [1] recursive %}{{ loop() }}{% endfor %}", "{% for x in [1] recursive %}{{ loop(5) }}{% endfor %}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{% set ns = namespace(a=1) %}{{ ns._x is defined }}{{ ns['_x'] is defined }}",
    # more expressions
    "{{ strftime_now('') }}", "{{ strftime_now() }}", "{{ strftime_now(5) }}", "{{ dict.fromkeys(['a', 'b'], 1) }}", "{{ dict.fromkeys('ab') }}", "{{ dict.fromkeys() }}", "{{ dict.nope }}", "{{ namespace(_a=1) }}", "{{ namespace({'_a': 1}) }}", "{{ users | groupby('nope') }}", "{{ dict | attr('items') is callable }}", "{{ text | attr('nope') is defined }}", "{{ 5 | urlencode }}", "{{ [1] | urlencode }}", "{{ '{a}' .format_map({}) }}", "{{ 1 if 0 if 1 }}", "{{ 1 if 1 if 0 }}",
    # macros
    "{% macro f() %}x{% endmacro %}{{ f() }}{{ f() | upper }}", "{% macro f(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(b=4, a=5) }}", "{% macro f(a) %}[{{ a }}]{% endmacro %}{{ f() }}", "{% macro f(a) %}{{ a is defined }}{% endmacro %}{{ f() }}", "{% macro f(a) %}{{ a.b }}{% endmacro %}{{ f() }}", "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "{% macro f(a) %}{% endmacro %}{{ f(b=2) }}",
    "{% macro f(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, 3, x=4) }}", "{% macro f() %}{{ varargs | length }}{% endmacro %}{{ f(1, 2) }}", "{% macro f(a, b=a) %}{{ b }}{% endmacro %}{{ f(3) }}", "{% macro f(a=1, b) %}{% endmacro %}", "{% macro f(a, a) %}{% endmacro %}{{ f(1, 2) }}", "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}",
    "{% set x = 1 %}{% macro f() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ f() }}", "{% macro f() %}{% set x = 5 %}{% endmacro %}{{ f() }}{{ x is defined }}", "{% macro f() %}{{ text }}{% endmacro %}{{ f() }}", "{% for i in [1,2] %}{% macro f() %}{{ i }}{% endmacro %}{{ f() }}{% endfor %}", "{% if true %}{% macro f() %}x{% endmacro %}{% endif %}{{ f() }}", "{% for i in [1] %}{{ g(i) }}{% endfor %}{% macro g(x) %}{{ x }}{% endmacro %}",
    "{% macro f() %}{{ caller() }}{% endmacro %}{% call f() %}body{% endcall %}", "{% macro f() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b) f() %}{{ a }}{{ b }}{% endcall %}", "{% macro f() %}x{% endmacro %}{% call f() %}body{% endcall %}", "{% macro f() %}{{ caller is defined }}{% endmacro %}{{ f() }}", "{% macro f(x) %}{{ x }}{{ caller() }}{% endmacro %}{% call f('a') %}{{ text }}{% endcall %}", "{% call 5 %}{% endcall %}",
    "{% macro f(caller=1) %}{{ caller }}{% endmacro %}" "{{ 1 }}" if False else "{{ 1 }}", "{% macro f() %}\n  a\n{% endmacro %}\n{{ f() }}|", "{%- macro f() -%}\n  a\n{%- endmacro -%}\n{{ f() }}|", "{% macro outer() %}{% macro inner() %}i{% endmacro %}{{ inner() }}o{% endmacro %}{{ outer() }}{{ inner is defined }}", "{% macro f(x) %}{{ x }}{% endmacro %}{{ [1,2]|map('string')|map('upper')|join }}{{ f(*[7]) }}{{ f(**{'x': 8}) }}",
    "{% macro f(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ f(1, *[2]) }}{{ f(*[1], **{'b': 3}) }}{{ f(*[1, 2, 3]) }}", "{{ f() }}{% macro f() %}{% endmacro %}", "{% macro f() %}{{ loop is defined }}{% endmacro %}{% for i in [1] %}{{ f() }}{% endfor %}", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}",
    "{% macro wrap() %}<{{ caller() }}>{% endmacro %}{% macro f() %}{% call wrap() %}{{ caller() }}{% endcall %}{% endmacro %}{% call f() %}x{% endcall %}", "{% macro f(x) %}{% for i in range(x) %}{{ i }}{% if i == 1 %}{% break %}{% endif %}{% endfor %}{% endmacro %}{{ f(5) }}",
    "{% if false %}{{ 1 | nofilter }}{% endif %}x", "{% if true %}{{ 1 | nofilter }}{% endif %}x", "{% if false %}{% for i in [1] %}{{ 1 | nofilter }}{% endfor %}{% endif %}x", "{% if false %}{% for i in [1] | nofilter %}{% endfor %}{% endif %}x", "{% if 0 %}{% elif 1 is notest %}{% endif %}", "{% if false %}{% set x = 1 | nofilter %}{% endif %}x",
    "{% if false %}{% macro f() %}{{ 1 | nofilter }}{% endmacro %}{% endif %}x", "{% if false %}{% set x | nofilter %}{% endset %}{% endif %}x", "{% if false %}{% filter nofilter %}{% endfilter %}{% endif %}x", "{% if 1 %}{{ text }}{% else %}{{ text | nofilter }}{% endif %}", "{% for i in [1] if i | nofilter %}{% endfor %}", "{% if false %}{% for i in [1] if i | nofilter %}{% endfor %}{% endif %}x",
    "{% if false %}{% call f(1 | nofilter) %}{% endcall %}{% endif %}x", "{% if false %}{% with a = 1 | nofilter %}{% endwith %}{% endif %}x", "{% if false %}{% with a = 1 %}{{ 1 | nofilter }}{% endwith %}{% endif %}x", "{% if false %}{% generation %}{{ 1 | nofilter }}{% endgeneration %}{% endif %}x",
    # filter blocks, generation, print
    "{% filter upper %}abc{{ 'd' }}{% endfilter %}", "{% filter upper | replace('A', 'x') %}abc{% endfilter %}", "{% filter indent(2) %}a\nb{% endfilter %}", "{% for i in [1,2] %}{% filter upper %}a{% if i == 1 %}{% continue %}{% endif %}b{% endfilter %}{% endfor %}", "{% filter nofilter %}{% endfilter %}", "{% generation %}a{{ 1 }}{% endgeneration %}", "{% generation %}\n a\n{% endgeneration %}\nb", "{% generation %}{% set x = 1 %}{% endgeneration %}{{ x is defined }}", "{% for i in [1] %}{% generation %}{{ i }}{{ loop.index }}{% endgeneration %}{% endfor %}",
    "{% print 1 %}", "{% print 1, 2 %}", "{% generation %}", "{% unknown %}", "{% %}", "{% 1 %}", "{%", "{{", "{{ 1", "{% if 1", "{{ 'a", "{{ }}", "{{ 1 }", "{% endset %}", "{% do x %}",
    "{% set j = joiner('; ') %}{% for i in [1,2,3] %}{{ j() }}{{ i }}{% endfor %}", "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set _ = c.reset() %}{{ c.next() }}", "{% set f = text.upper %}{{ f() }}", "{{ messages | map(attribute='role') | join(',') }}", "{{ messages[0]['content'] | trim }}", "{{ messages[-1].content }}",
    "{% set last = messages | last %}{{ last.role }}", "{{ (messages | selectattr('role', 'equalto', 'user') | list)[-1].content }}", "{{ messages | rejectattr('role', 'equalto', 'system') | list | length }}", "{{ bos_token }}{{ eos_token }}", "{{ add_generation_prompt }}", "{% if tools is not none and tools %}{{ tools[0].function.name }}{% endif %}", "{{ tools[0].function.parameters.properties.items() | list | length }}",
    "{{ tools[0].function.parameters['properties']['city'].type }}", "{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}", "{{ messages[0]['tool_calls'] is defined }}", "{{ messages[0].tool_calls is not defined or messages[0].tool_calls is none }}", "{{ 'tool_calls' in messages[0] }}", "{{ messages == messages }}{{ messages[0] == messages[-1] }}", "{{ strftime_now('%B %d, %Y') }}",
]
