use super::*;
use proptest::prelude::*;
use serde::Deserialize;

mod fuzz;

/// What Go renders, as `tests/template_cases/generator` recorded it.
#[derive(Deserialize)]
struct Recorded {
    data: RecordedData,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct RecordedData {
    vars: BTreeMap<String, Value>,
    env: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    /// Nothing for an error.
    expected: Option<String>,
}

fn recorded() -> (Data, Vec<Case>) {
    let text = include_str!("../../tests/template_cases/cases.json");
    let recorded: Recorded = serde_json::from_str(text).unwrap();
    (Data { vars: recorded.data.vars, env: recorded.data.env }, recorded.cases)
}

fn text(template: &str) -> String {
    render(template, "goss.yaml", &Data::default()).unwrap().text
}

fn failure(template: &str) -> TemplateError {
    let rendered = render(template, "goss.yaml", &Data::default());
    rendered.map(|rendered| rendered.text.len()).expect_err(template)
}

#[test]
fn templates_render_as_in_go() {
    let (data, cases) = recorded();
    assert!(cases.len() > 700);
    let mut wrong = Vec::new();
    for Case { template, expected } in &cases {
        let rendered = render(template, "case", &data);
        match (&rendered, expected) {
            (Ok(rendered), Some(expected)) if rendered.text == *expected => {}
            (Err(_), None) => {}
            _ => wrong.push(format!(
                "{template}\n   expected {expected:?}\n   rendered {:?}",
                rendered.map(|rendered| rendered.text).map_err(|error| error.to_string())
            )),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn every_case_keeps_a_line_of_the_template_for_every_line() {
    let (data, cases) = recorded();
    for Case { template, .. } in &cases {
        if let Ok(rendered) = render(template, "case", &data) {
            assert_eq!(rendered.lines.len(), rendered.text.lines().count(), "{template}");
            let last = u32::try_from(template.matches('\n').count()).unwrap() + 1;
            assert!(rendered.lines.iter().all(|line| (1..=last).contains(line)), "{template}");
        }
    }
}

#[test]
fn lines_come_from_where_their_first_character_does() {
    for (template, lines) in [
        ("", vec![]),
        ("a\nb", vec![1, 2]),
        ("a\n\nb\n", vec![1, 2, 3]),
        ("{{ range list 1 2 }}\nx\n{{ end }}\ny", vec![1, 2, 1, 2, 3, 4]),
        ("{{ \"a\\nb\" }}c\nd", vec![1, 1, 2]),
        ("{{ if true -}}\n\n\nx\n{{- end }}\ny", vec![4, 6]),
        ("{{ define \"t\" }}\nbody{{ end }}a{{ template \"t\" }}\nz", vec![2, 2, 3]),
        ("{{ $x := 1 }}\n{{ $x }}\n", vec![1, 2]),
    ] {
        assert_eq!(render(template, "goss.yaml", &Data::default()).unwrap().lines, lines, "{template}");
    }
}

#[test]
fn errors_name_the_place_and_the_cause() {
    for (template, expected) in [
        ("a\n  {{ .Vars.x }}", "goss.yaml:2:3: .x: the map has no such key"),
        ("é {{ upper 1 }}", "goss.yaml:1:3: upper: argument 1: expected string, not int"),
        ("{{ if true }}", "goss.yaml:1:1: `if` without `end`"),
        ("x\n{{ uper 1 }}", "goss.yaml:2:1: unknown function `uper`; did you mean `upper`?"),
        ("{{ tojson 1 }}", "goss.yaml:1:1: unknown function `tojson`; did you mean `toJson`?"),
        ("{{ frobnicate }}", "goss.yaml:1:1: unknown function `frobnicate`"),
        ("{{ trunc 1 }}", "goss.yaml:1:1: trunc: takes 2 arguments, not 1"),
        ("{{ $x }}", "goss.yaml:1:1: undefined variable $x"),
        ("{{ fail \"no such system\" }}", "goss.yaml:1:1: fail: no such system"),
        (
            "{{ genCA \"x\" 1 }}",
            "goss.yaml:1:1: genCA: this function of Sprig is not supported here: it makes secrets or asks the network",
        ),
        ("{{ \"a", "goss.yaml:1:4: unclosed string"),
        ("{{ 1", "goss.yaml:1:1: unclosed action"),
    ] {
        assert_eq!(failure(template).to_string(), expected);
    }
}

#[test]
fn errors_hold_no_values() {
    let vars = BTreeMap::from([("password".to_owned(), Value::from("hunter2"))]);
    let data = Data { vars, ..Data::default() };
    for template in [
        "{{ .Vars.password.x }}",
        "{{ upper 1 .Vars.password }}",
        "{{ index .Vars.password \"x\" }}",
        "{{ mustToDate \"2006\" .Vars.password }}",
        "{{ mustFromJson .Vars.password }}",
        "{{ semver .Vars.password }}",
        "{{ range .Vars.password }}{{ end }}",
        "{{ lt .Vars.password 1 }}",
        "{{ first .Vars.password }}",
        "{{ urlParse (cat \":\" .Vars.password) }}",
    ] {
        let error = render(template, "goss.yaml", &data).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn what_differs_from_go_does_so_on_purpose() {
    // The order of keys and values is random there.
    assert_eq!(text(r#"{{ $d := dict "b" 1 "a" 2 }}{{ keys $d }} {{ values $d }}"#), "[a b] [2 1]");
    // There, the broken character makes the YAML unreadable.
    assert!(failure(r#"{{ trunc 2 "aé" }}"#).message.contains("within a character"));
    assert!(failure(r#"{{ b64dec "/w==" }}"#).message.contains("not UTF-8"));
}

#[test]
fn rendering_is_bounded() {
    for template in [
        "{{ range 1000000000 }}{{ end }}",
        "{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}",
        r#"{{ repeat 100000000 "ab" }}"#,
        r#"{{ repeat 9223372036854775807 "ab" }}"#,
        "{{ until 1000000000 }}",
        "{{ untilStep 0 9223372036854775807 1 }}",
        "{{ seq 1000000000 }}",
        "{{ seq 9223372036854775807 }}",
        r#"{{ indent 2000000000 "a" }}"#,
        r#"{{ $s := "a" }}{{ range 60 }}{{ $s = cat $s $s }}{{ end }}"#,
        r#"{{ $s := repeat 16000000 "a" }}{{ range 100 }}{{ $s }}{{ end }}"#,
        r#"{{ $s := repeat 9000000 "a" }}{{ replace "a" $s $s }}"#,
        r#"{{ $s := repeat 9000000 "a" }}{{ regexReplaceAll "a" $s "$0$0$0$0" }}"#,
        r#"{{ $d := dict "x" 1 }}{{ range 90 }}{{ $d = dict "a" $d "b" $d }}{{ end }}{{ toJson $d }}"#,
        r#"{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ $d }}"#,
        r#"{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ toJson $d }}"#,
        r#"{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ deepCopy $d }}"#,
        r#"{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ $e := dict }}{{ $_ := set $e "self" $e }}{{ deepEqual $d $e }}"#,
        "{{ $l := list }}{{ range 100000 }}{{ $l = list $l }}{{ end }}",
        r#"{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}"#,
        r#"{{ define "a" }}{{ if true }}{{ with 1 }}{{ range 1 }}{{ template "a" (1 | add 1 | int) }}{{ end }}{{ end }}{{ end }}{{ end }}{{ template "a" }}"#,
        r#"{{ range 100000 }}{{ regexMatch (printf "a{500}%d" .) "a" }}{{ end }}"#,
        r#"{{ regexMatch "(((a{100}){100}){100}){100}" "a" }}"#,
        r#"{{ printf "%9000000d%9000000d" 1 1 }}"#,
    ] {
        failure(template);
    }
}

#[test]
fn deep_nesting_is_an_error_or_works() {
    let deep = |open: &str, inside: &str, close: &str, count: usize| {
        render(&format!("{}{inside}{}", open.repeat(count), close.repeat(count)), "deep", &Data::default())
    };
    assert_eq!(deep("{{ if true }}", "x", "{{ end }}", 90).unwrap().text, "x");
    assert_eq!(deep("{{ range 1 }}", "x", "{{ end }}", 90).unwrap().text, "x");
    for count in [101, 100_000] {
        assert!(deep("{{ if true }}", "x", "{{ end }}", count).is_err());
        assert!(deep("{{ if false }}{{ else ", "if true }}", "{{ end }}", count).is_err());
        assert!(
            render(&format!("{{{{ {}1{} }}}}", "(".repeat(count), ")".repeat(count)), "deep", &Data::default())
                .is_err()
        );
        assert!(
            render(
                &format!("{{{{ fromJson `{}1{}` | toJson }}}}", "[".repeat(count), "]".repeat(count)),
                "deep",
                &Data::default()
            )
            .is_ok_and(|rendered| rendered.text == "null")
                || count == 101
        );
    }
    assert_eq!(
        render(&format!("{{{{ {}1{} }}}}", "(".repeat(90), ")".repeat(90)), "deep", &Data::default()).unwrap().text,
        "1"
    );
    // Templates, parentheses and values as deep as each may be, on the stack of a test.
    let parens = format!("{}toJson $l{}", "(".repeat(80), ")".repeat(80));
    let all = format!(
        "{{{{ define \"down\" }}}}{{{{ if . }}}}{{{{ template \"down\" (sub . 1 | int) }}}}{{{{ else }}}}\
         {{{{ $l := 1 }}}}{{{{ range 99 }}}}{{{{ $l = list $l }}}}{{{{ end }}}}{{{{ {parens} }}}}\
         {{{{ end }}}}{{{{ end }}}}{{{{ template \"down\" 80 }}}}"
    );
    assert!(text(&all).starts_with("[[["));
    // A long chain of maps, each in the one before, is freed without recursion.
    let chain = r#"{{ $d := dict }}{{ $e := $d }}{{ range 50000 }}{{ $n := dict }}{{ $_ := set $e "n" $n }}{{ $e = $n }}{{ end }}ok"#;
    assert_eq!(text(chain), "ok");
}

/// Pieces of templates, mostly well formed.
fn template() -> impl Strategy<Value = String> {
    let words = functions::names();
    let operand = prop_oneof![
        Just(".".to_owned()),
        Just(".Vars.list".to_owned()),
        Just(".Vars.map".to_owned()),
        Just("$".to_owned()),
        Just("$x".to_owned()),
        Just("nil".to_owned()),
        "[-+]?[0-9]{1,19}",
        "-?[0-9]\\.[0-9]{1,3}(e-?[0-9]{1,3})?",
        "\"[a-z0-9%é .*+\\-v<>=:/|{}\\[\\]()$]{0,12}\"",
        "`\\PC{0,6}`",
    ];
    let operand = operand.prop_recursive(3, 12, 4, move |inner| {
        (prop::sample::select(words.clone()), prop::collection::vec(inner, 0..5))
            .prop_map(|(name, arguments)| format!("({name} {})", arguments.join(" ")))
    });
    let piece = prop_oneof![
        operand.clone().prop_map(|operand| format!("{{{{ {operand} }}}}")),
        operand.clone().prop_map(|operand| format!("{{{{- if {operand} }}}}a{{{{ else }}}}b{{{{ end -}}}}")),
        operand.clone().prop_map(|operand| format!("{{{{ range $i, $x = {operand} }}}}{{{{ $x }}}}{{{{ end }}}}")),
        operand.prop_map(|operand| format!("{{{{ $x = {operand} }}}}")),
        "\\PC{0,8}",
        "(\\{\\{|\\}\\}|-|\"|`|\\(|\\)|\\$x|:=|\\||\\.| |\n|end|if|range|define|else|'|[0-9]|[a-z]){0,10}",
    ];
    prop::collection::vec(piece, 0..6)
        .prop_map(|pieces| format!("{{{{ $x := 1 }}}}{{{{ $i := 0 }}}}{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_template_panics(template in template()) {
        let vars = BTreeMap::from([
            ("list".to_owned(), Value::from(vec!["a", "é"])),
            ("map".to_owned(), Value::Map(BTreeMap::from([("a".to_owned(), Value::from(1))]))),
        ]);
        if let Ok(rendered) = render(&template, "any", &Data { vars, ..Data::default() }) {
            prop_assert_eq!(rendered.lines.len(), rendered.text.split_inclusive('\n').count());
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,64}|(\\{\\{|\\}\\}|\\PC){0,32}") {
        if !text.contains("{{") {
            prop_assert_eq!(render(&text, "any", &Data::default()).unwrap().text, text);
        } else if let Err(error) = render(&text, "any", &Data::default()) {
            prop_assert!(error.position.line >= 1 && error.position.column >= 1);
        }
    }
}
