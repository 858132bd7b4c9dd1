//! An XML writer that escapes, for the replies of query and REST-XML services.

use std::fmt::Display;

/// XML under construction. Elements are closed by the closure that opened them, so a document is always well-formed.
#[derive(Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    pub(crate) fn document() -> Self {
        Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned())
    }

    /// An element with a namespace around what `inside` writes.
    pub(crate) fn root(&mut self, name: &str, namespace: &str, inside: impl FnOnce(&mut Self)) {
        self.0.push_str(&format!("<{name} xmlns=\"{namespace}\">"));
        inside(self);
        self.0.push_str(&format!("</{name}>"));
    }

    /// An element around what `inside` writes.
    pub(crate) fn element(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.0.push_str(&format!("<{name}>"));
        inside(self);
        self.0.push_str(&format!("</{name}>"));
    }

    /// An element that holds text.
    pub(crate) fn text(&mut self, name: &str, value: impl Display) {
        self.element(name, |xml| xml.escape(&value.to_string()));
    }

    /// An element that holds text, or nothing.
    pub(crate) fn optional(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// `<name><item>…</item>…</name>`: how EC2 writes lists.
    pub(crate) fn items<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut inside: impl FnMut(&mut Self, T),
    ) {
        self.element(name, |xml| {
            for item in items {
                xml.element("item", |xml| inside(xml, item));
            }
        });
    }

    /// `<name><item>text</item>…</name>`.
    pub(crate) fn texts(&mut self, name: &str, values: impl IntoIterator<Item = impl Display>) {
        self.element(name, |xml| {
            for value in values {
                xml.text("item", value);
            }
        });
    }

    /// What another writer wrote.
    pub(crate) fn append(&mut self, other: Self) {
        self.0.push_str(&other.0);
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }

    fn escape(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\r' => self.0.push_str("&#13;"),
                // XML 1.0 has no way to write these.
                c if c.is_control() && c != '\n' && c != '\t' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        let mut xml = Xml::default();
        xml.text("name", "a<b>&\"c\"\r\u{1}");
        assert_eq!(xml.finish(), "<name>a&lt;b&gt;&amp;&quot;c&quot;&#13;\u{fffd}</name>");
    }

    #[test]
    fn lists_have_items() {
        let mut xml = Xml::default();
        xml.items("tagSet", ["a", "b"], |xml, key| xml.text("key", key));
        xml.texts("ids", [1, 2]);
        xml.optional("none", None::<&str>);
        assert_eq!(
            xml.finish(),
            "<tagSet><item><key>a</key></item><item><key>b</key></item></tagSet>\
             <ids><item>1</item><item>2</item></ids>"
        );
    }
}
