//! XPath 1.0 over XML.

use super::{MatchError, number};
use crate::Compat;
use uppsala::{Parser, XPathEvaluator, XPathValue};

/// Nodes an expression may visit: enough for a large document, little enough to end.
const MAX_VISITS: usize = 10_000_000;

/// Whether an XPath expression gives a result. An empty result asks for any node.
///
/// Nodes are compared as XML, one after the other. Goss calls another result an error, which no `not` reverses; mended,
/// it is a mismatch.
pub(super) fn test(document: &str, xpath: &str, expected: &str, compat: Compat) -> Result<bool, MatchError> {
    let mut document = Parser::new().parse(document).map_err(|error| MatchError::Xml(error.to_string()))?;
    document.prepare_xpath();
    let found = XPathEvaluator::new()
        .with_max_node_visits(MAX_VISITS)
        .evaluate(&document, document.root(), xpath)
        .map_err(|error| MatchError::XPath { xpath: xpath.to_owned(), reason: error.to_string() })?;
    let found = match found {
        XPathValue::NodeSet(nodes) if expected.trim().is_empty() => return Ok(!nodes.is_empty()),
        XPathValue::NodeSet(nodes) => nodes.iter().map(|node| document.node_to_xml(*node)).collect(),
        // As Go's `%G`.
        XPathValue::Number(float) => number::format(float).replace('e', "E"),
        XPathValue::Boolean(bool) => bool.to_string(),
        XPathValue::String(text) => text,
    };
    match compat {
        _ if found == expected => Ok(true),
        Compat::Fixed => Ok(false),
        Compat::Goss => Err(MatchError::XmlMismatch { found, expected: expected.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: &str =
        r#"<?xml version="1.0"?><library><book id="1"><title>Dune</title></book><book id="2"/></library>"#;

    fn holds(xpath: &str, result: &str) -> Result<bool, MatchError> {
        test(LIBRARY, xpath, result, Compat::Fixed)
    }

    #[test]
    fn gives_what_xpath_gives() {
        for (xpath, result) in [
            ("//book", ""),
            ("//book[@id='1']/title", "<title>Dune</title>"),
            ("//title/text()", "Dune"),
            ("count(//book)", "2"),
            ("count(//book) > 1", "true"),
            ("string(//book[2]/@id)", "2"),
            ("//book[not(title)]", r#"<book id="2"/>"#),
            ("concat(name(/*), '-', //title)", "library-Dune"),
            ("1 div 2", "0.5"),
            ("count(//book) * 5000000", "1E+07"),
        ] {
            assert_eq!(holds(xpath, result), Ok(true), "{xpath}");
            assert_eq!(holds(xpath, "something else"), Ok(false), "{xpath}");
        }
        assert_eq!(holds("//magazine", ""), Ok(false));
    }

    #[test]
    fn what_is_wrong_is_an_error() {
        assert!(matches!(holds("//book[", ""), Err(MatchError::XPath { .. })));
        assert!(matches!(holds("unknown()", ""), Err(MatchError::XPath { .. })));
        assert!(matches!(test("<a>", "/a", "", Compat::Fixed), Err(MatchError::Xml(_))));
        assert!(matches!(test(LIBRARY, "count(//book)", "3", Compat::Goss), Err(MatchError::XmlMismatch { .. })));
        let deep = format!("{}{}", "<a>".repeat(10_000), "</a>".repeat(10_000));
        assert!(matches!(test(&deep, "/a", "", Compat::Fixed), Err(MatchError::Xml(_))));
        let deep = format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(matches!(holds(&deep, ""), Err(MatchError::XPath { .. })));
    }
}
