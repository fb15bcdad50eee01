//! The languages of the lecture, with the texts of the player and of tables and verdicts.

use protocol::experiment::Status;
use serde_json::json;

use crate::deck;
use crate::dictionary::Dictionary;
use crate::korean::KOREAN;

/// A language, with its deck and its texts.
pub struct Language {
    /// Its code (BCP 47), which names the page's file.
    pub code: &'static str,
    /// The code of the other language, to which a key switches.
    pub other: &'static str,
    /// The deck's files.
    pub deck: &'static [&'static str],
    /// The name of the story's page.
    pub story: &'static str,
    /// The page to hand out, in Markdown.
    pub handout: &'static str,
    /// The instructor's guide, in Markdown.
    pub guide: &'static str,
    /// Translates the texts of a run, which are English.
    pub dictionary: Dictionary,
    /// The heading of the table's first column.
    pub transport: &'static str,
    /// The headings of the other columns.
    pub columns: [&'static str; 6],
    statuses: [&'static str; 6],
    live_is_served: &'static str,
    previous: &'static str,
    next: &'static str,
    overview: &'static str,
    notes: &'static str,
    keys: &'static [(&'static str, &'static str)],
    end: &'static str,
}

/// All languages. The first is the default.
pub const LANGUAGES: [Language; 2] = [
    Language {
        code: "en",
        other: "ko",
        deck: deck::ENGLISH,
        story: "index.html",
        handout: include_str!("../HANDOUT.md"),
        guide: include_str!("../GUIDE.md"),
        dictionary: Dictionary(&[]),
        transport: "transport",
        columns: ["median", "99 %", "on the wire", "overhead", "requests", "server CPU"],
        statuses: [
            "holds",
            "holds within limits",
            "does not hold",
            "outdated",
            "not measurable here",
            "not yet tested",
        ],
        live_is_served: "This is a recording. It is live when the server shows these slides: run the demo, and open /slides.",
        previous: "Previous slide",
        next: "Next slide",
        overview: "Overview",
        notes: "Presenter view",
        keys: &[
            ("→ Space", "next step or slide"),
            ("←", "previous slide, complete"),
            ("Home End", "first, last slide"),
            ("O", "overview"),
            ("N", "presenter view: notes, next slide, clock"),
            ("T", "dark or light"),
            ("L", "한국어"),
            ("F", "full screen"),
            ("E B C", "live lanes: publish, burst, cut"),
            ("1 2 , .", "bytes on the wire: lane, previous and next message"),
            ("?", "these keys"),
        ],
        end: "the last slide",
    },
    Language {
        code: "ko",
        other: "en",
        deck: deck::KOREAN,
        story: "index.ko.html",
        handout: include_str!("../HANDOUT.ko.md"),
        guide: include_str!("../GUIDE.ko.md"),
        dictionary: KOREAN,
        transport: "전송 방식",
        columns: ["중앙값", "99 %", "전송 바이트", "오버헤드", "요청 수", "서버 CPU"],
        statuses: ["맞음", "조건부로 맞음", "틀림", "더는 맞지 않음", "여기서는 측정 불가", "아직 검증 전"],
        live_is_served: "기록된 화면입니다. 서버에서 슬라이드를 열면 실시간으로 동작합니다. demo를 실행하고 /slides를 여세요.",
        previous: "이전 슬라이드",
        next: "다음 슬라이드",
        overview: "전체 보기",
        notes: "발표자 화면",
        keys: &[
            ("→ Space", "다음 단계 또는 다음 슬라이드"),
            ("←", "이전 슬라이드(전체)"),
            ("Home End", "첫 슬라이드, 마지막 슬라이드"),
            ("O", "전체 보기"),
            ("N", "발표자 화면: 발표자 노트, 다음 슬라이드, 시계"),
            ("T", "어두운 화면, 밝은 화면"),
            ("L", "English"),
            ("F", "전체 화면"),
            ("E B C", "실시간 레인: 이벤트 발행, 100개 연속 발행, 연결 끊기"),
            ("1 2 , .", "오간 바이트: 레인 선택, 이전 메시지와 다음 메시지"),
            ("?", "단축키 목록"),
        ],
        end: "마지막 슬라이드",
    },
];

impl Language {
    /// A status, in a word or two.
    pub fn status(&self, status: Status) -> &'static str {
        self.statuses[match status {
            Status::Holds => 0,
            Status::HoldsWithinLimits => 1,
            Status::DoesNotHold => 2,
            Status::Outdated => 3,
            Status::NotMeasurable => 4,
            Status::NotYet => 5,
        }]
    }

    /// The texts of the player, as a JSON object.
    pub fn player_texts(&self) -> String {
        let texts = json!({
            "liveIsServed": self.live_is_served,
            "previous": self.previous,
            "next": self.next,
            "overview": self.overview,
            "notes": self.notes,
            "keys": self.keys,
            "end": self.end,
        });
        texts.to_string()
    }
}
