//! Translates the texts that a run brings into the slides: titles and labels of charts, cells of the table, sentences of verdicts.
//!
//! A run's texts are English sentences with figures in them. A [`Dictionary`] has a pattern for each of them. A text without a pattern
//! stays English.

use reports::html::escape;

/// Abbreviations, units and keywords of protocols that are the same in every language.
const NAMES: [&str; 32] = [
    "B",
    "CPU",
    "Connection",
    "FIN",
    "GET",
    "HTTP",
    "Hello",
    "IO",
    "JSONP",
    "MASK",
    "MCP",
    "QUIC",
    "RSV1",
    "SSE",
    "STOMP",
    "SUB",
    "SockJS",
    "Socket",
    "TCP",
    "TLS",
    "UTF",
    "Upgrade",
    "WT",
    "WebTransport",
    "close",
    "h2",
    "iframe",
    "ms",
    "opcode",
    "s",
    "us",
    "wss",
];

/// Patterns of English texts, each with its translation.
///
/// `{1}`, `{2}` and so on stand for figures, names, or other texts of the same dictionary. An English pattern numbers them in order;
/// the translation may put them in another order.
pub struct Dictionary(pub &'static [(&'static str, &'static str)]);

impl Dictionary {
    /// The translation of a text; the text itself where the dictionary has none.
    pub fn text(&self, english: &str) -> String {
        self.translate(english).unwrap_or_else(|| english.into())
    }

    /// An SVG with its texts translated.
    pub fn svg(&self, svg: &str) -> String {
        svg.split_inclusive('>')
            .map(|part| {
                let (text, tag) = part.split_at(part.find('<').unwrap_or(part.len()));
                match self.translate(&unescape(text.trim())) {
                    Some(translation) => text.replacen(text.trim(), &escape(&translation), 1) + tag,
                    None => part.into(),
                }
            })
            .collect()
    }

    /// The translation of a text; `None` if it has English words and no pattern matches it.
    fn translate(&self, english: &str) -> Option<String> {
        let found = self.0.iter().find_map(|(pattern, translation)| {
            let values = self.values(pattern, english)?;
            let fill = |text: String, (value, number): (&String, usize)| text.replace(&format!("{{{number}}}"), value);
            Some(values.iter().zip(1..).fold(translation.to_string(), fill))
        });
        found.or_else(|| english_words(english).is_empty().then(|| english.into()))
    }

    /// What the placeholders of a pattern stand for in a text, translated; `None` if the pattern does not match.
    fn values(&self, pattern: &str, text: &str) -> Option<Vec<String>> {
        let Some((before, placeholder)) = pattern.split_once('{') else { return (pattern == text).then(Vec::new) };
        let text = text.strip_prefix(before)?;
        let (_, pattern) = placeholder.split_once('}')?;
        let literal = pattern.split('{').next().unwrap_or_default();
        let ends: Vec<usize> = match literal {
            "" => vec![text.len()],
            _ => text.match_indices(literal).map(|(end, _)| end).collect(),
        };
        ends.into_iter().filter(|&end| end > 0).find_map(|end| {
            let mut values = self.values(pattern, &text[end..])?;
            values.insert(0, self.translate(&text[..end])?);
            Some(values)
        })
    }
}

/// The English words of a text, without names, numbers and paths.
pub fn english_words(text: &str) -> Vec<&str> {
    text.split_whitespace()
        .filter(|part| !part.starts_with('/'))
        .flat_map(|part| part.split(|letter: char| !letter.is_ascii_alphanumeric()))
        .filter(|word| word.starts_with(|first: char| first.is_ascii_alphabetic()) && !NAMES.contains(word))
        .collect()
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Dictionary = Dictionary(&[
        ("apple", "사과"),
        ("pear", "배"),
        ("{1} costs {2} won, {3}", "{1} {2}원, {3}"),
        ("{1} costs {2} won", "{1} {2}원"),
        ("for {1}: {2}", "{2} ({1})"),
    ]);

    #[test]
    fn a_pattern_translates_what_its_placeholders_stand_for_and_may_reorder_them() {
        assert_eq!(SAMPLE.text("for pear: 3 ms"), "3 ms (배)");
        assert_eq!(SAMPLE.text("apple costs 1,000 won, pear costs 2.5 won"), "사과 1,000원, 배 2.5원");
    }

    #[test]
    fn a_text_without_a_pattern_stays_english() {
        for text in ["plum costs 3 won", "apple costs  won", "apples", "", "12 B, 3 ms", "GET /long-poll (53 B)"] {
            assert_eq!(SAMPLE.text(text), text);
        }
    }

    #[test]
    fn the_texts_of_an_svg_are_translated_and_its_tags_are_not() {
        let svg = "<svg>\n<text fill=\"apple\">\napple\n</text><text>1 &lt; 2</text><text>plum &amp; pear</text></svg>";
        assert_eq!(SAMPLE.svg(svg), svg.replacen("\napple\n", "\n사과\n", 1));
    }
}
