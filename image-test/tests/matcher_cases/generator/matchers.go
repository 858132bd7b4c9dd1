package main

var anything = []string{
	`"10"`, `10`, `10.0`, `10.5`, `true`, `null`, `""`, `"foo"`, `"foo bar\nbaz"`, `[]`, `["foo", "bar"]`, `["10"]`,
	`[1, 2.5, true, null, ["a", 1], {"k": "v", "a": 1}]`, `{"a": 1, "foo": "bar"}`,
}

var document = `"{\"age\": 37, \"big\": 1e21, \"nil\": null, \"no\": false, \"name\": {\"first\": \"Tom\"}, \"children\": [\"Sara\", \"Alex\", \"Jack\"], \"str\": \"{\\\"in\\\": 5}\", \"\": \"empty\"}"`

var groups = []group{
	{ // what a bare value means
		matchers: []string{`"10"`, `10`, `10.0`, `"foo"`, `true`, `false`, `""`, `["foo"]`, `[]`, `"<nil>"`, `"1\n2.5\ntrue\n<nil>\n[a 1]\nmap[a:1 k:v]"`, `"map[a:1 foo:bar]"`},
		values:   anything,
	},
	{matchers: []string{`{"equal": "10"}`, `{"equal": 10}`, `{"equal": 10.0}`, `{"equal": null}`, `{"equal": ["foo", "bar"]}`, `{"equal": {"a": 1, "foo": "bar"}}`}, values: anything, strings: []string{`["foo", "bar"]`, `["10"]`}},
	{matchers: []string{`{"not": {"equal": 10}}`, `{"not": "foo"}`, `{"not": {"not": 10}}`, `{"not": ["foo"]}`}, values: anything},
	{
		matchers: []string{`{"have-prefix": "fo"}`, `{"have-suffix": "az"}`, `{"contain-substring": "oo"}`, `{"match-regexp": "^f?o*"}`, `{"match-regexp": "^b"}`, `{"match-regexp": "(?m)^b"}`, `{"match-regexp": "("}`, `{"have-prefix": ""}`},
		values:   []string{`"foo"`, `"baz"`, `10`, `null`, `["foo", "baz"]`, `{"oo": 1}`, `""`, `true`}, strings: []string{`["foo", "baz"]`, `[]`},
	},
	{matchers: []string{`{"not": {"have-prefix": "fo"}}`, `{"not": {"have-suffix": "az"}}`, `{"not": {"contain-substring": "oo"}}`, `{"not": {"match-regexp": "^f"}}`, `{"not": {"match-regexp": "("}}`}, values: []string{`"foo"`, `"baz"`, `10`}},
	{
		matchers: []string{`{"gt": 10}`, `{"ge": 10}`, `{"lt": 10}`, `{"le": 10}`, `{"gt": 9.99}`, `{"le": 10.5}`, `{"not": {"gt": 10}}`, `{"not": {"ge": 10}}`, `{"not": {"lt": 10}}`, `{"not": {"le": 10}}`, `{"gt": "10"}`, `{"lt": true}`},
		values:   []string{`9`, `10`, `11`, `10.0`, `10.25`, `"10"`, `" 11\n"`, `"x"`, `""`, `true`, `null`, `["11"]`}, strings: []string{`["11"]`, `["11", "12"]`, `[]`},
	},
	{
		matchers: []string{`{"equal": 1}`, `{"gt": 0}`, `1000`},
		values:   []string{`"1_000"`, `"0x10"`, `"0x1p4"`, `"0x1_0p0"`, `"inf"`, `"-Inf"`, `"+infinity"`, `"nan"`, `".5"`, `"5."`, `"."`, `"1e400"`, `"-1e400"`, `"1e-400"`, `"+5"`, `"1e3"`, `"1E+3"`, `"1e"`, `"\u00a01000\u2003"`, `"１"`, `"1_000.0"`, `"0b1"`, `"1000.0"`, `"infin"`, `"+nan"`, `"1__0"`, `"0x"`, `"0x1"`, `"0x.8p1"`, `"1e1_0"`},
	},
	{matchers: []string{`9007199254740993`, `{"gt": 9007199254740992}`, `{"lt": 9007199254740993}`, `{"equal": 9007199254740993}`, `1e21`, `-0.0`}, values: []string{`9007199254740992`, `9007199254740993`, `9007199254740993.0`, `"9007199254740993"`, `1e21`, `0`, `-0.0`}},
	{matchers: []string{`"1e+21"`, `"1e+20"`, `"100000000000000000000"`, `"1e-05"`, `"0.0001"`, `"10"`, `"1.5e+300"`, `"-0"`, `"3.14"`, `"123456789"`, `"1.234567890123e+24"`}, values: []string{`1e21`, `1e20`, `0.00001`, `0.0001`, `10.0`, `1.5e300`, `-0.0`, `3.14`, `123456789.0`, `1234567890123000000000000.0`}},
	{matchers: []string{`{"have-len": 3}`, `{"have-len": 0}`, `{"have-len": 2.9}`, `{"have-len": -1}`, `{"not": {"have-len": 2}}`, `{"have-len": "3"}`}, values: append([]string{`"äb"`, `"日"`}, anything...), strings: []string{`["a", "b"]`}, texts: []string{"äb", ""}},
	{matchers: []string{`{"contain-element": "foo"}`, `{"contain-element": 10}`, `{"contain-element": {"have-prefix": "b"}}`, `{"contain-element": {"gt": 1}}`, `{"not": {"contain-element": "foo"}}`, `{"not": {"contain-element": {"have-len": 3}}}`, `{"contain-element": true}`, `{"contain-element": ["foo"]}`, `{"contain-element": {"equal": null}}`, `{"contain-element": {"match-regexp": "("}}`}, values: anything, strings: []string{`["foo", "bar"]`, `[]`}},
	{
		matchers: []string{`{"contain-elements": ["foo"]}`, `{"contain-elements": ["foo", "foo"]}`, `{"contain-elements": []}`, `{"contain-elements": [{"have-prefix": "b"}, "bar", "baz"]}`, `["foo", "bar"]`, `[{"have-prefix": "ba"}, {"have-suffix": "r"}]`, `{"not": ["foo", "bar"]}`, `{"not": {"contain-elements": ["foo", "bar"]}}`, `{"contain-elements": "foo"}`, `["foo", 10]`, `[{"gt": 1}, {"gt": 2}]`, `[["a"]]`, `[{"equal": "foo"}, true]`, `[null]`},
		values:   append([]string{`["foo", "bar", "baz"]`, `["bar", "bar"]`, `"foo\nbar\nbaz"`, `[1, 2, 3]`, `["1", "3"]`, `["foo", true]`}, anything...), strings: []string{`["foo", "bar", "baz"]`, `["foo"]`, `[]`},
	},
	{
		matchers: []string{`{"consist-of": ["foo"]}`, `{"consist-of": ["foo", "bar"]}`, `{"consist-of": []}`, `{"consist-of": [{"have-prefix": "b"}, "bar", "foo"]}`, `{"not": {"consist-of": ["foo", "bar"]}}`, `{"consist-of": "foo"}`, `{"consist-of": [{"gt": 0}, {"have-len": 3}]}`, `{"consist-of": [{"and": [{"gt": 0}, {"lt": 3}]}, {"or": ["foo", 3]}]}`},
		values:   append([]string{`["foo", "bar", "baz"]`, `["bar", "foo", "bar"]`, `["foo"]`, `[1, "foo"]`, `[1, 3]`}, anything...), strings: []string{`["foo", "bar"]`, `["foo"]`, `[]`},
	},
	{matchers: []string{`{"have-key": "foo"}`, `{"have-key": {"have-prefix": "a"}}`, `{"have-key": {"not": "foo"}}`, `{"not": {"have-key": "foo"}}`, `{"have-key": 1}`, `{"have-key": ["a"]}`, `{"have-key": {}}`}, values: []string{`{"a": 1, "foo": 2}`, `{"b": 1}`, `{}`, `["foo"]`, `"foo"`, `null`, `{"1": 1}`}},
	{
		matchers: []string{
			`["foo"]`, `["!foo"]`, `["/^f.o$/"]`, `["!/^f.o$/"]`, `["\\!foo"]`, `["\\/foo"]`, `["!/foo"]`, `["!\\!foo"]`, `[""]`, `["!"]`, `["//"]`, `["/"]`, `["!/"]`, `["foo", "bar"]`, `["foo", "foo"]`,
			`["bar", "foo"]`, `["/FOO/i"]`, `["/foo/x"]`, `["/etc/passwd"]`, `["/etc/passwd/"]`, `["!/a/", "b"]`, `["/(/"]`, `[1]`, `[true]`, `[null]`, `[]`, `[{"have-prefix": "f"}]`, `[["foo"]]`, `["\\\\foo"]`, `["!!foo"]`, `["/!foo"]`, `["/foo\\/"]`, `["\\/foo/"]`, `["/a/b/"]`, `["!//"]`, `["\\/^f/"]`,
		},
		texts: []string{"", "foo", "foo\nbar\n", "foo\r\nbar", "!foo /foo\n", "a/b\nFOO", "/etc/passwd", "\n", "\\foo\nb"},
	},
	{
		matchers: []string{`{"have-patterns": ["foo"]}`, `{"have-patterns": ["!foo", "/^b/"]}`, `{"have-patterns": []}`, `{"have-patterns": [1]}`, `{"have-patterns": "foo"}`, `{"not": {"have-patterns": ["foo"]}}`, `{"not": {"have-patterns": ["!foo", "!bar"]}}`, `{"have-patterns": ["/(/"]}`, `{"have-patterns": ["<nil>", "1"]}`},
		values:   anything, strings: []string{`["foo", "bar"]`, `[]`}, texts: []string{"foo\nbar\n", "baz", ""},
	},
	{
		matchers: []string{
			`"foo\n"`, `"foo"`, `""`, `10`, `{"equal": "foo\n"}`, `{"contain-element": "foo"}`, `{"contain-elements": ["foo", ""]}`, `{"and": [["foo"]]}`, `{"not": ["foo"]}`, `{"or": [["foo"], "foo"]}`, `{"and": [{"contain-substring": "o"}, {"have-len": 4}]}`, `true`, `{"gt": 9}`, `{"consist-of": ["foo"]}`, `{"have-key": "a"}`, `{"match-regexp": "o$"}`, `{"match-regexp": "(?m)o$"}`,
		},
		texts: []string{"foo\n", "foo", "", "10\n", " 10 "},
	},
	{
		matchers: []string{
			`{"and": []}`, `{"or": []}`, `{"not": {"and": []}}`, `{"not": {"or": []}}`, `{"and": [{"gt": 5}, {"lt": 15}]}`, `{"or": [{"lt": 5}, {"gt": 15}]}`, `{"not": {"and": [{"gt": 5}, {"lt": 15}]}}`, `{"not": {"or": [{"lt": 5}, {"gt": 15}]}}`,
			`{"or": ["foo", {"gt": 5}]}`, `{"or": [{"gt": 5}, "foo"]}`, `{"and": ["foo", {"gt": 5}]}`, `{"and": [{"gt": 5}, "foo"]}`, `{"not": {"gt": 5}}`, `{"and": "foo"}`, `{"or": {"a": 1}}`, `{"not": null}`, `{"and": [null]}`, `{"and": [{"or": [{"and": ["foo"]}, "10"]}]}`,
			`{"not": {"not": {"or": ["foo", "10"]}}}`, `{"not": {"and": [{"not": "foo"}]}}`, `{"not": {"or": [{"not": "bar"}]}}`, `{"and": [{"have-prefix": "1"}, {"not": {"have-suffix": "0"}}]}`,
		},
		values: []string{`10`, `"10"`, `"foo"`, `20`, `null`, `["foo"]`},
	},
	{
		matchers: []string{
			`{}`, `{"unknown": 1}`, `{"have-prefix": 1}`, `{"have-suffix": true}`, `{"contain-substring": []}`, `{"match-regexp": null}`, `{"semver-constraint": 1}`, `{"gjson": "a"}`, `{"gjson": {"a": {"x": 1}}}`, `{"equal": 1, "not": 2}`, `null`, `[{"x": 1}]`, `{"not": {}}`, `{"not": {"a": 1, "b": 2}}`, `{"gjson": {"a": null}}`,
		},
		values: []string{`1`, `"foo"`},
	},
	{
		matchers: []string{
			`{"semver-constraint": ">1.0.0 <2.0.0 !=1.5.0"}`, `{"semver-constraint": "<1.0.0 || >=2.0.0"}`, `{"semver-constraint": "1.2.x"}`, `{"semver-constraint": "1.x"}`, `{"semver-constraint": "1.x.x"}`, `{"semver-constraint": ">1.x"}`, `{"semver-constraint": ">=1.x"}`, `{"semver-constraint": "<1.2.x"}`, `{"semver-constraint": "<=1.2.x"}`, `{"semver-constraint": "!=1.2.x"}`, `{"semver-constraint": "!1.x"}`,
			`{"semver-constraint": ">0.9"}`, `{"semver-constraint": ""}`, `{"semver-constraint": "||"}`, `{"semver-constraint": "1.0.0 ||"}`, `{"semver-constraint": "x"}`, `{"semver-constraint": "1"}`, `{"semver-constraint": "> 1.0.0"}`, `{"semver-constraint": ">= 1.0.0 < 1.5.0-rc.1"}`, `{"semver-constraint": "=1.5.0"}`, `{"semver-constraint": "==1.5.0"}`, `{"semver-constraint": "~1.0.0"}`, `{"semver-constraint": "1.0.0-xyz"}`, `{"semver-constraint": ">=1.0.0-xyz"}`, `{"semver-constraint": "1.0.0||2.0.0"}`, `{"semver-constraint": " >1.0.0  <2.0.0 "}`, `{"semver-constraint": "! 1.5.0"}`, `{"semver-constraint": "1.0.0 a"}`, `{"semver-constraint": "=> 1.0.0"}`, `{"semver-constraint": ">1.0.0 1"}`, `{"not": {"semver-constraint": ">1.0.0"}}`, `{"not": {"semver-constraint": ">0.9"}}`,
		},
		values: []string{`"1.0.0"`, `"1.2.3"`, `"1.5.0"`, `"1.5.0-rc.1"`, `"2.0.0"`, `["1.2.3", "1.4.0"]`, `["1.2.3", "9.0.0"]`},
	},
	{
		matchers: []string{`{"semver-constraint": ">=1.0.0"}`, `{"semver-constraint": "<1.0.0-alpha.2"}`},
		values:   []string{`"1.0"`, `"v1.0.0"`, `"01.0.0"`, `"1.0.0-01"`, `"1.0.0-"`, `"1.0.0+"`, `"1.0.0+a-b.01"`, `"1.0.0-alpha"`, `"1.0.0-alpha.1"`, `"1.0.0-alpha.beta"`, `"1.0.0-alpha.10"`, `"1.0.0--"`, `"1.0.0-0a"`, `"18446744073709551616.0.0"`, `"1.0.0 "`, `""`, `10`, `null`, `[]`, `["1.0.0", 1]`, `"1.0.0-a_b"`, `"1.2.3.4"`, `"1.18.4-2+deb12u1"`, `["x"]`},
		strings:  []string{`["1.0.0"]`, `[]`, `["1.0.0", "x"]`},
	},
	{
		matchers: []string{
			`{"gjson": {"age": 37}}`, `{"gjson": {"age": "37"}}`, `{"gjson": {"age": {"equal": 37}}}`, `{"gjson": {"age": {"equal": 37.0}}}`, `{"gjson": {"big": "1e+21"}}`, `{"gjson": {"children": ["Sara", "Alex"]}}`, `{"gjson": {"children": {"consist-of": ["Sara", "Alex"]}}}`, `{"gjson": {"no": false, "nil": "<nil>"}}`, `{"gjson": {"name": {"have-key": "first"}}}`, `{"not": {"gjson": {"age": 38}}}`, `{"not": {"gjson": {"missing": 38}}}`, `{"gjson": {}}`, `{"gjson": {"": "empty"}}`, `{"gjson": {"str": {"gjson": {"in": 6}}}}`, `{"gjson": {"name.first": {"not": {"have-prefix": "T"}}}}`, `{"gjson": {"age": {"and": [{"gt": 30}, {"lt": 35}]}}}`,
		},
		values: []string{document, `"{"`, `"[1"`, `""`, `"5"`, `10`, `null`, `["a"]`},
	},
	{matchers: []string{`{"gjson": {"#": {"equal": "x"}}}`, `{"gjson": {"1": "x"}}`, `{"gjson": {"@this": "x"}}`, `{"gjson": {"#(>1)#": {"have-len": 9}}}`, `{"gjson": {"@flatten": {"have-len": 9}}}`, `{"gjson": {"@this.0": "x"}}`, `{"gjson": {"@reverse.0": "x"}}`}, values: []string{`"[1, 2, 3]"`, `" [ ] "`, `"5"`, `"\"s\""`, `"null"`, `"[null]"`, `"{}"`, `"[1,]"`, `"[01]"`, `"{\"a\":1} x"`}},
}
