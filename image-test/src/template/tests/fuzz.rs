//! Templates that were damaged at random: each renders or says where it is wrong, within its bounds.
//!
//! `TEMPLATE_FUZZ_ITERATIONS` and `TEMPLATE_FUZZ_SEED` are those of the long run.

use super::*;
use crate::{
    fuzz::{Corpus, Random, files, long, watched},
    template::context::MAX_TEXT,
};

/// The recorded cases, and the gossfiles that goss is compared on.
fn corpus(cases: Vec<Case>) -> Corpus {
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).ok().filter(|text| text.contains("{{"));
    let texts =
        cases.into_iter().map(|case| case.template).chain(files("tests/parity/corpus").into_iter().filter_map(read));
    let marks = [
        "{{",
        "}}",
        "{{-",
        "-}}",
        "(",
        ")",
        "|",
        " ",
        "\n",
        ".",
        "$",
        "$x",
        ":=",
        "=",
        ",",
        "\"",
        "`",
        "'",
        "\\",
        "nil",
        "true",
        "if",
        "else",
        "end",
        "range",
        "with",
        "define",
        "template",
        "block",
        "break",
        "continue",
        "{{ end }}",
        "{{ else }}",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "1e308",
        "0x",
        "é",
        ".Vars",
        ".Env",
        "/*",
        "*/",
        "%d",
        "%*v",
    ];
    Corpus { texts: texts.collect(), words: functions::names().into_iter().chain(marks).collect() }
}

/// How many rendered, and how many did not.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    rendered: u64,
    refused: u64,
}

fn fuzz(seed: u64, iterations: u64) -> Tally {
    let (data, cases) = recorded();
    let corpus = corpus(cases);
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    for iteration in 0..iterations {
        let template = corpus.mutant(&mut random);
        watched(seed, iteration, &template, || match render(&template, "fuzz.yaml", &data) {
            Ok(rendered) => {
                tally.rendered += 1;
                assert!(rendered.text.len() <= MAX_TEXT);
                assert_eq!(rendered.lines.len(), rendered.text.split_inclusive('\n').count());
            }
            Err(error) => {
                tally.refused += 1;
                let lines: Vec<&str> = template.split('\n').collect();
                let line = usize::try_from(error.position.line).unwrap();
                let columns = lines.get(line.wrapping_sub(1)).map(|line| line.chars().count() + 1);
                let column = usize::try_from(error.position.column).unwrap();
                assert!(columns.is_some_and(|columns| (1..=columns).contains(&column)), "{error}");
                assert!(!error.message.is_empty());
            }
        });
    }
    tally
}

#[test]
fn damaged_templates_render_or_say_where_they_are_wrong() {
    let tally = fuzz(1, 2_000);
    assert!(tally.rendered > 0 && tally.refused > 0, "{tally:?}");
}

#[test]
#[ignore = "takes minutes"]
fn damaged_templates_render_or_say_where_they_are_wrong_for_long() {
    long("TEMPLATE", 1_000_000, fuzz);
}
