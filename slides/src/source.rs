//! Code of the lecture's examples for the slides. A slide names a definition, so it shows code that a test has run.

use anyhow::Context;

/// The files whose code slides can show, with their paths in the project.
macro_rules! sources {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../", $path)))),*]
    };
}

const SOURCES: &[(&str, &str)] = sources!["slides/examples/client.js", "slides/examples/server.cjs",];

/// The definition of `name` in the file at `path` of this project: a function, a type, a constant or the like, without its doc comment and
/// without the indentation of its first line.
///
/// # Errors
/// When the file is not one of those whose code slides can show, or does not define that name.
pub fn definition(path: &str, name: &str) -> anyhow::Result<String> {
    let known = SOURCES.iter().find(|(known, _)| *known == path);
    let (_, text) = known.with_context(|| format!("{path} is not in the list SOURCES"))?;
    defined_in(text, name).with_context(|| format!("{path} does not define {name}"))
}

fn defined_in(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| !defines(line, name));
    let first = lines.next()?;
    let indent = first.len() - first.trim_start().len();
    let mut found = vec![first];
    // In formatted code, a definition ends with a closing bracket that is indented like its first line.
    if !first.ends_with(';') && !first.ends_with('}') {
        for line in lines {
            found.push(line);
            if line.len() > indent
                && line[..indent].trim().is_empty()
                && line[indent..].starts_with(['}', ']', ')'])
                && !line.ends_with('{')
            {
                break;
            }
        }
    }
    Some(found.iter().map(|line| line.get(indent..).unwrap_or_default().to_string() + "\n").collect())
}

fn defines(line: &str, name: &str) -> bool {
    const KINDS: [&str; 9] = ["fn", "struct", "enum", "const", "static", "impl", "trait", "function", "class"];
    let mut words =
        line.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty());
    words.by_ref().any(|word| KINDS.contains(&word)) && words.next() == Some(name)
}

/// Code as HTML, with classes for comments, string literals and keywords.
pub fn highlight(code: &str) -> String {
    code.lines().map(|line| highlight_line(line) + "\n").collect()
}

fn highlight_line(line: &str) -> String {
    const KEYWORDS: [&str; 34] = [
        "as", "async", "await", "break", "class", "const", "continue", "else", "enum", "export", "fn", "for",
        "function", "if", "impl", "in", "import", "let", "loop", "match", "move", "mut", "new", "pub", "ref", "return",
        "self", "static", "struct", "throw", "trait", "type", "use", "while",
    ];
    let mut html = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let (length, class) = if rest.starts_with("//") {
            (rest.len(), "comment")
        } else if first == '"' || first == '`' || first == '\'' {
            (literal_length(rest, first), "literal")
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
            (length, if KEYWORDS.contains(&&rest[..length]) { "keyword" } else { "" })
        } else {
            (first.len_utf8(), "")
        };
        let piece = reports::html::escape(&rest[..length]);
        html += &if class.is_empty() { piece } else { format!("<span class=\"{class}\">{piece}</span>") };
        rest = &rest[length..];
    }
    html
}

/// The length of the string literal at the start of `code`, with its quotes and escapes; the length of `code` if the literal does not end.
fn literal_length(code: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in code.char_indices().skip(1) {
        if letter == quote && !escaped {
            return at + quote.len_utf8();
        }
        escaped = letter == '\\' && !escaped;
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_found_by_name_and_ends_with_its_closing_brace() {
        let code = definition("slides/examples/server.cjs", "longPoll").unwrap();
        assert!(code.starts_with("function longPoll(") && code.ends_with("\n}\n"), "{code}");
        let code = definition("slides/examples/client.js", "poll").unwrap();
        assert!(code.starts_with("async function poll(") && code.ends_with("\n}\n"), "{code}");
        let method = defined_in("impl A {\n    fn b() {\n        if c {\n        }\n    }\n\n    fn d() {}\n}\n", "b");
        assert_eq!(method.unwrap(), "fn b() {\n    if c {\n    }\n}\n");
        let constant = definition("slides/examples/server.cjs", "GUID").unwrap();
        assert!(constant.starts_with("const GUID") && constant.lines().count() == 1, "{constant}");
        assert!(definition("slides/examples/server.cjs", "no_such").is_err());
        assert!(definition("no/such/file.js", "poll").is_err());
    }

    #[test]
    fn code_is_escaped_and_its_keywords_comments_and_literals_are_marked() {
        let html = highlight(r#"let a = "<\"b\">"; // done"#);
        let expected = "<span class=\"keyword\">let</span> a = <span class=\"literal\">&quot;&lt;\\&quot;b\\&quot;&gt;&quot;</span>; <span class=\"comment\">// done</span>\n";
        assert_eq!(html, expected);
    }
}
