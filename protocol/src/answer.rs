//! An answer such as a language model gives: a text that comes into being token by token, for one client that has asked.
//!
//! Here a token is a word with the space after it, and the text depends on the question only. So a client knows which tokens it should
//! receive, and no model is needed to compare the transports.

use serde::{Deserialize, Serialize};

use crate::{fnv, payload};

/// The data of the event after the last token, as several APIs of language models send it.
pub const DONE: &str = "[DONE]";
/// The longest prompt, in bytes.
pub const MAX_PROMPT_BYTES: usize = 4 << 10;
/// The most tokens of an answer.
pub const MAX_TOKENS: u32 = 1_000;
/// The highest rate, in tokens per second.
pub const MAX_RATE: f64 = 1_000.0;

/// A question: the JSON body of `POST /answer`, and the text of a WebSocket's message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The prompt, on which the text of the answer depends.
    pub prompt: String,
    /// The number of tokens: from 1 to [`MAX_TOKENS`].
    #[serde(default = "default_tokens")]
    pub tokens: u32,
    /// Tokens per second: from 1 to [`MAX_RATE`].
    #[serde(default = "default_rate")]
    pub rate: f64,
    /// Whether the response contains each token as soon as there is one, instead of the whole text at the end.
    #[serde(default)]
    pub stream: bool,
    /// Whether the answer goes on when the client disconnects; without this, it is cancelled.
    #[serde(default)]
    pub background: bool,
}

fn default_tokens() -> u32 {
    200
}

fn default_rate() -> f64 {
    50.0
}

impl Question {
    /// A question with the default length and rate.
    pub fn new(prompt: &str) -> Self {
        let (tokens, rate) = (default_tokens(), default_rate());
        Self { prompt: prompt.into(), tokens, rate, stream: false, background: false }
    }

    /// Parses and checks a question.
    ///
    /// # Errors
    /// A text that names the fault and the valid values.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let question: Self = serde_json::from_slice(json)
            .map_err(|error| format!("a question is JSON like {{\"prompt\":\"…\",\"stream\":true}}: {error}"))?;
        question.check()?;
        Ok(question)
    }

    /// Checks the prompt's length and the numbers.
    ///
    /// # Errors
    /// A text that names the fault and the valid values.
    pub fn check(&self) -> Result<(), String> {
        if self.prompt.len() > MAX_PROMPT_BYTES {
            return Err(format!("prompt: at most {MAX_PROMPT_BYTES} bytes"));
        }
        if !(1..=MAX_TOKENS).contains(&self.tokens) {
            return Err(format!("tokens: a number from 1 to {MAX_TOKENS}"));
        }
        if !(1.0..=MAX_RATE).contains(&self.rate) {
            return Err(format!("rate: tokens per second, from 1 to {MAX_RATE}"));
        }
        Ok(())
    }

    /// The tokens of the answer, in order.
    pub fn answer(&self) -> impl Iterator<Item = String> + use<> {
        let words = payload::text(fnv::hash(self.prompt.as_bytes()));
        words.take(self.tokens as usize).map(|word| format!("{word} "))
    }
}

/// How far an answer is: the JSON of `GET /answer/ID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The tokens so far.
    pub generated: u32,
    /// The tokens of the whole answer.
    pub tokens: u32,
    /// Whether it is under way, or how it has ended.
    pub state: State,
}

/// The state of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// More tokens will come.
    Running,
    /// All tokens are there.
    Complete,
    /// It has ended early, since the client disconnected or cancelled it.
    Cancelled,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_depends_on_its_question_only() {
        let answer = |prompt| Question::new(prompt).answer().collect::<Vec<_>>();
        assert_eq!(answer("why?").len(), 200);
        assert_eq!(answer("why?"), answer("why?"));
        assert_ne!(answer("why?"), answer("how?"));
        assert!(answer("why?").iter().all(|token| token.len() > 1 && token.ends_with(' ')));
    }

    #[test]
    fn the_errors_of_a_question_name_the_fault_and_the_valid_values() {
        let fault = |json: &str| Question::parse(json.as_bytes()).unwrap_err();
        assert!(fault("why?").starts_with("a question is JSON like {\"prompt\""));
        assert!(fault(r#"{"prompt":"a","model":"b"}"#).contains("unknown field `model`"));
        assert_eq!(fault(r#"{"prompt":"a","tokens":0}"#), "tokens: a number from 1 to 1000");
        assert_eq!(fault(r#"{"prompt":"a","rate":0.5}"#), "rate: tokens per second, from 1 to 1000");
        let question = Question::parse(br#"{"prompt":"a","stream":true}"#).unwrap();
        assert_eq!(question, Question { stream: true, ..Question::new("a") });
    }
}
