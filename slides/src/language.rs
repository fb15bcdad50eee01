//! The languages of the lecture, and the few words that stand around the slides.

use protocol::experiment::Standing;
use serde_json::json;

use crate::deck;

/// A language, with the deck in it.
pub struct Language {
    /// Its code (BCP 47), which names the page's file.
    pub code: &'static str,
    /// The code of the other language, to which a key switches.
    pub other: &'static str,
    /// The deck's files.
    pub deck: &'static [&'static str],
    /// Above the first column of the table.
    pub transport: &'static str,
    /// Above the other columns.
    pub columns: [&'static str; 6],
    standings: [&'static str; 6],
    live_is_served: &'static str,
    previous: &'static str,
    next: &'static str,
    overview: &'static str,
    notes: &'static str,
    keys: &'static [(&'static str, &'static str)],
    ends: &'static str,
}

/// All languages, the one that is shown where none is asked for first.
pub const LANGUAGES: [Language; 2] = [
    Language {
        code: "en",
        other: "ko",
        deck: deck::ENGLISH,
        transport: "transport",
        columns: ["median", "99 %", "on the wire", "overhead", "requests", "server CPU"],
        standings: [
            "holds",
            "holds within limits",
            "does not hold",
            "outdated",
            "not measurable here",
            "not yet tested",
        ],
        live_is_served: "This is recorded. It is live when the lab's own server shows these slides: run the demo, and open /slides.",
        previous: "Previous slide",
        next: "Next slide",
        overview: "Overview",
        notes: "Presenter view",
        keys: &[
            ("→ Space", "next slide"),
            ("←", "previous slide"),
            ("Home End", "first, last slide"),
            ("O", "overview"),
            ("N", "presenter view: notes, next slide, clock"),
            ("T", "dark or light"),
            ("L", "한국어"),
            ("F", "full screen"),
            ("E B C", "live lanes: publish, burst, cut"),
            ("?", "these keys"),
        ],
        ends: "the last slide",
    },
    Language {
        code: "ko",
        other: "en",
        deck: deck::KOREAN,
        transport: "전송 방식",
        columns: ["중앙값", "99 %", "전송량", "오버헤드", "요청", "서버 CPU"],
        standings: ["맞다", "조건부로 맞다", "틀리다", "옛말이다", "여기서는 잴 수 없음", "아직 시험 전"],
        live_is_served: "기록된 모습입니다. 실험실 서버에서 슬라이드를 열면 실시간으로 움직입니다: demo를 실행하고 /slides를 여세요.",
        previous: "이전 슬라이드",
        next: "다음 슬라이드",
        overview: "전체 보기",
        notes: "발표자 화면",
        keys: &[
            ("→ Space", "다음 슬라이드"),
            ("←", "이전 슬라이드"),
            ("Home End", "처음, 마지막 슬라이드"),
            ("O", "전체 보기"),
            ("N", "발표자 화면: 노트, 다음 슬라이드, 시계"),
            ("T", "어둡게 또는 밝게"),
            ("L", "English"),
            ("F", "전체 화면"),
            ("E B C", "실시간 레인: 발행, 연속 발행, 끊기"),
            ("?", "이 도움말"),
        ],
        ends: "마지막 슬라이드",
    },
];

impl Language {
    /// How a claim stands, in a word or two.
    pub fn standing(&self, standing: Standing) -> &'static str {
        self.standings[match standing {
            Standing::Holds => 0,
            Standing::HoldsWithinLimits => 1,
            Standing::DoesNotHold => 2,
            Standing::Outdated => 3,
            Standing::NotMeasurable => 4,
            Standing::NotYet => 5,
        }]
    }

    /// What the player says, as a JSON object.
    pub fn page_words(&self) -> String {
        let words = json!({
            "liveIsServed": self.live_is_served,
            "previous": self.previous,
            "next": self.next,
            "overview": self.overview,
            "notes": self.notes,
            "keys": self.keys,
            "ends": self.ends,
        });
        words.to_string()
    }
}
