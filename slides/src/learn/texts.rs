//! The texts of the story, in each language. Words in braces stand for measured figures.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde::Deserialize;

/// The figures that texts mention, by their names.
pub type Words = BTreeMap<&'static str, String>;

/// All texts of a language. A file in `text/` that lacks one, or has another, is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    pub title: String,
    pub lead: String,
    pub other_language: String,
    pub theme: String,
    pub scenes_list: String,
    pub show: String,
    pub predict_first: String,
    pub r#move: String,
    pub replay: String,
    pub as_list: String,
    pub again: String,
    pub claim: String,
    pub source: String,
    pub end: String,
    pub lecture: String,
    pub live: String,
    pub exact: String,
    pub close: String,
    pub less: String,
    pub more: String,
    pub right: String,
    pub wrong: String,
    pub sentence: String,
    pub phone: String,
    pub server: String,
    pub proxy: String,
    pub event: String,
    pub one_event: String,
    pub events: String,
    pub connect: String,
    pub sent_up: String,
    pub sent_down: String,
    pub published: String,
    pub delivered: String,
    pub what: String,
    pub parts: [String; 4],
    pub part: String,
    pub ways: [String; 3],
    pub opens: String,
    pub refused: String,
    pub way: String,
    pub bits: [String; 5],
    pub payload: String,
    pub sizes: [String; 3],
    pub headers_compared: String,
    pub attempt: String,
    pub line: String,
    pub point: String,
    pub y_label: String,
    pub x_label: String,
    pub map_x: String,
    pub map_y: String,
    pub push: String,
    pub tie: String,
    pub none: String,
    pub scenes: BTreeMap<String, SceneTexts>,
}

/// The texts of one scene.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneTexts {
    /// Its name in the list of scenes.
    pub short: String,
    pub heading: String,
    pub idea: String,
    pub question: String,
    /// What a choice can be.
    #[serde(default)]
    pub options: Vec<String>,
    /// A value of the slider with its unit.
    #[serde(default)]
    pub value: String,
    /// What was measured, as a part of the sentence that compares it with the prediction.
    pub fact: String,
    /// Ordinal numbers for the fact.
    #[serde(default)]
    pub which: Vec<String>,
    pub caption: String,
    /// The claim of course notes that the scene measures.
    pub claim: Option<String>,
}

/// The texts of the language with this code.
///
/// # Errors
/// When there is none, or its file is incomplete.
pub fn of(code: &str) -> anyhow::Result<Texts> {
    let text = match code {
        "en" => include_str!("text/en.json"),
        "ko" => include_str!("text/ko.json"),
        _ => bail!("the story has no texts in {code}"),
    };
    serde_json::from_str(text).with_context(|| format!("slides/src/learn/text/{code}.json"))
}

/// A text with its words in braces replaced; those that the page's script fills in remain.
///
/// # Errors
/// When a word is missing.
pub fn fill(text: &str, words: &Words) -> anyhow::Result<String> {
    const BY_SCRIPT: [&str; 3] = ["value", "verdict", "said"];
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').with_context(|| format!("a brace is open in: {text}"))?;
        filled += before;
        match words.get(name) {
            Some(word) => filled += word,
            None if BY_SCRIPT.contains(&name) => filled += &format!("{{{name}}}"),
            None => bail!("nothing stands for {{{name}}} in: {text}"),
        }
        rest = after;
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words in braces of a text, in alphabetical order.
    fn words(text: &str) -> Vec<&str> {
        let mut words: Vec<&str> = text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        words.sort_unstable();
        words
    }

    #[test]
    fn both_languages_have_every_text_with_the_same_figures() {
        let file = |code| match code {
            "en" => include_str!("text/en.json"),
            _ => include_str!("text/ko.json"),
        };
        of("en").unwrap();
        of("ko").unwrap();
        let (english, korean): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(file("en")).unwrap(), serde_json::from_str(file("ko")).unwrap());
        let mut texts = 0;
        let mut pairs = vec![(String::new(), &english, &korean)];
        while let Some((path, english, korean)) = pairs.pop() {
            if let (Some(english), Some(korean)) = (english.as_str(), korean.as_str()) {
                texts += 1;
                assert!(!english.is_empty() && !korean.is_empty(), "{path}");
                assert_eq!(words(english), words(korean), "{path}");
                let is_korean = korean.chars().any(|letter| ('가'..='힣').contains(&letter));
                // Only units and the name of the other language have no letter of Korean.
                assert!(is_korean || korean == "English" || korean.starts_with('{'), "{path}: {korean}");
                continue;
            }
            let keys = |value: &serde_json::Value| -> Vec<String> {
                match (value.as_object(), value.as_array()) {
                    (Some(object), _) => object.keys().cloned().collect(),
                    (_, Some(array)) => (0..array.len()).map(|index| index.to_string()).collect(),
                    _ => panic!("{path} is neither a text nor a list"),
                }
            };
            assert_eq!(keys(english), keys(korean), "{path}");
            for key in keys(english) {
                let pointer = format!("/{key}");
                pairs.push((
                    format!("{path}{pointer}"),
                    english.pointer(&pointer).unwrap(),
                    korean.pointer(&pointer).unwrap(),
                ));
            }
        }
        assert!(texts > 100, "{texts}");
    }

    #[test]
    fn a_word_without_a_figure_is_an_error_and_those_of_the_script_remain() {
        let words = Words::from([("long", "979".into())]);
        assert_eq!(fill("{long} bytes, {said}", &words).unwrap(), "979 bytes, {said}");
        assert!(fill("{short}", &words).unwrap_err().to_string().contains("{short}"));
        assert!(fill("{short", &words).is_err());
    }
}
