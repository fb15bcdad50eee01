//! The payloads of the schedule's events. They depend only on their kind, the seed, the event's number and the size, so every round has the same.

use std::fmt::Write;
use std::sync::LazyLock;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schedule::{seeded, uniform};

/// The kind of payload. It makes a difference only where bytes are compressed, and where a quotation mark has to be escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayloadKind {
    /// Random letters and digits, which hardly compress: 6 bits of information in each byte.
    #[default]
    Random,
    /// English words in a random order, common ones more often, like the messages of a chat.
    Text,
    /// A JSON object with the same fields and other values each time, like the quotes of a ticker.
    Json,
}

/// Common English words, the most common first.
static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let words = "the of and to in is you that it he was for on are as with his they at be this have from or one had by word but not \
    what all were we when your can said there use an each which she do how their if will up other about out many then them these so some \
    her would make like him into time has look two more write go see number no way could people my than first water been call who oil its \
    now find long down day did get come made may part over new sound take only little work know place year live me back give most very \
    after thing our just name good sentence man think say great where help through much before line right too mean old any same tell boy \
    follow came want show also around form three small set put end does another well large must big even such because turn here why ask \
    went men read need land different home us move try kind hand picture again change off play spell air away animal house point page \
    letter mother answer found study still learn should";
    words.split_whitespace().collect()
});

/// The names of the instruments of a ticker.
const SYMBOLS: [&str; 8] = ["ALPHA", "BRAVO", "CHARLIE", "DELTA", "ECHO", "FOXTROT", "GOLF", "HOTEL"];

impl PayloadKind {
    /// The payload of event `seq`: `length` bytes of printable ASCII. JSON escapes only the quotation marks of [`Self::Json`].
    pub fn generate(self, seed: u64, seq: u64, length: usize) -> String {
        let mut text = match self {
            Self::Random => return random(seed, seq, length),
            Self::Text => words(&mut generator(seed, seq), length),
            Self::Json => quotes(&mut generator(seed, seq), seq, length),
        };
        text.truncate(length);
        text
    }
}

impl std::str::FromStr for PayloadKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "random" => Ok(Self::Random),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("a kind of payload is random, text or json, not '{text}'")),
        }
    }
}

impl std::fmt::Display for PayloadKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Random => "random",
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// The random payload of event `seq`: `length` letters, digits, hyphens and underscores. JSON escapes none of them, so their encoding has the same
/// length.
pub fn random(seed: u64, seq: u64, length: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut random = generator(seed, seq);
    let mut text = String::with_capacity(length + 10);
    while text.len() < length {
        let bits = random.next_u64();
        text.extend((0..10).map(|i| ALPHABET[(bits >> (6 * i) & 63) as usize] as char));
    }
    text.truncate(length);
    text
}

fn generator(seed: u64, seq: u64) -> Pcg64Mcg {
    seeded(seed ^ seq.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// Words, with frequencies that fall with their rank as in real texts (Zipf's law).
fn words(random: &mut Pcg64Mcg, length: usize) -> String {
    let mut text = String::with_capacity(length + 16);
    while text.len() < length {
        text.push_str(word(random));
        text.push(' ');
    }
    text
}

fn word(random: &mut Pcg64Mcg) -> &'static str {
    // A uniform number of the logarithm of the rank gives each rank a probability that is proportional to its inverse.
    let rank = ((WORDS.len() as f64).powf(uniform(random)) as usize).min(WORDS.len()) - 1;
    WORDS[rank]
}

/// The words of a text that depends on the seed only.
pub fn text(seed: u64) -> impl Iterator<Item = &'static str> {
    let mut random = seeded(seed);
    std::iter::repeat_with(move || word(&mut random))
}

/// Objects of a ticker, separated by spaces.
fn quotes(random: &mut Pcg64Mcg, seq: u64, length: usize) -> String {
    let mut text = String::with_capacity(length + 128);
    while text.len() < length {
        let bits = random.next_u64();
        let symbol = SYMBOLS[(bits % 8) as usize];
        let price = 10_000 + (bits >> 8) % 5_000;
        let (whole, cents, size) = (price / 100, price % 100, 1 + (bits >> 32) % 900);
        write!(
            text,
            "{{\"symbol\":\"{symbol}\",\"price\":{whole}.{cents:02},\"size\":{size},\"trade\":{seq},\"side\":\"{}\"}} ",
            if bits >> 63 == 0 { "buy" } else { "sell" }
        )
        .expect("writing to memory");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::Deflater;

    #[test]
    fn payloads_have_the_given_length_depend_on_seed_and_number_and_are_printable() {
        for kind in [PayloadKind::Random, PayloadKind::Text, PayloadKind::Json] {
            for length in [0, 1, 50, 200, 2_000] {
                let text = kind.generate(1, 1, length);
                assert_eq!(text.len(), length);
                assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
                assert_eq!(text, kind.generate(1, 1, length));
            }
            assert_ne!(kind.generate(1, 1, 200), kind.generate(1, 2, 200));
            assert_ne!(kind.generate(1, 1, 200), kind.generate(2, 1, 200));
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("words".parse::<PayloadKind>().unwrap_err().contains("random, text or json"));
    }

    #[test]
    fn text_and_json_compress_and_random_letters_hardly_do() {
        let share = |kind: PayloadKind| {
            let mut deflater = Deflater::new(15, true);
            (1..=20).map(|seq| deflater.message(kind.generate(1, seq, 1_000).as_bytes()).len()).sum::<usize>() as f64
                / 20e3
        };
        let [random, text, json] = [PayloadKind::Random, PayloadKind::Text, PayloadKind::Json].map(share);
        assert!(random > 0.7 && (0.3..0.6).contains(&text) && json < 0.35, "{random} {text} {json}");
    }
}
