//! The result of a check for people, for graders and for build servers, and the contract as a page.

use reports::html::escape;
use reports::table::wrapped;
use serde_json::json;

use super::{ALL, Exercise, Graded, IDLE_LIMIT, LIMIT, longest, waits};

/// The beginning of the contract.
const PREFACE: &str = "# The contract of a server

What a server of this lab must do, as numbered requirements. `bench-client check http://HOST:PORT` tries them at any server, this lab's own or one
that you have written in any language, and says for each whether it is met.

A server has one feed. An event has a sequence number, the time at which it was published, and a text; everywhere it is JSON on one line:
`{\"seq\":41,\"at\":1763740800123,\"data\":\"a text\"}`. `at` is a whole number, in a unit that the server chooses. A cursor is the sequence number of the
last event that a client has received; `?after=41` asks for the events after it. To a client whose cursor does not belong to the feed, the server reports a gap:
`{\"gap\":{…}}`, an object whose content the server chooses.

The check publishes texts by `POST /publish`. The server must publish nothing by itself meanwhile, and must keep at least the last hundred events.
Each step may take two seconds, unless a requirement says otherwise. The 300 events of S8, E9 and W17 are published on one connection; a server
that ends a connection says so with `Connection: close`, and then gets a new one. Points are for grading.
";

/// The contract as Markdown.
pub fn contract() -> String {
    let mut page = PREFACE.to_string();
    for exercise in ALL {
        page +=
            &format!("\n## {}\n\n| | points | the server must do this | see |\n|---|---|---|---|\n", exercise.title());
        for requirement in exercise.requirements() {
            let see = requirement.see.replace('|', "\\|");
            page += &format!("| {} | {} | {} | {see} |\n", requirement.id, requirement.points, requirement.text);
        }
    }
    let waiting: Vec<&str> =
        ALL.into_iter().flat_map(Exercise::requirements).filter(|found| waits(found)).map(|found| found.id).collect();
    page += &format!("\n`--quick` leaves out {}, which wait 35 seconds at the same time.\n", waiting.join(", "));
    page + &format!(
        "\nWhatever a server does, a requirement takes at most {} seconds, and those that wait for a heartbeat {}. So a check ends within {} minutes.\n",
        LIMIT.as_secs(),
        IDLE_LIMIT.as_secs(),
        longest().as_secs().div_ceil(60)
    )
}

/// The points that were reached, and all.
fn points(graded: &[Graded]) -> (u32, u32) {
    let of = |graded: &Graded| if graded.outcome.is_ok() { graded.requirement.points } else { 0 };
    (graded.iter().map(of).sum(), graded.iter().map(|graded| graded.requirement.points).sum())
}

/// The result for people: a line for each requirement, and what came for those that are not met.
pub fn text(graded: &[Graded]) -> String {
    let mut text = String::new();
    let mut before = None;
    for Graded { exercise, requirement, outcome } in graded {
        if before.replace(exercise) != Some(exercise) {
            text += &format!("\n{}\n", exercise.title());
        }
        let (word, points) = match outcome {
            Ok(()) => ("ok    ", requirement.points),
            Err(_) => ("FAILED", 0),
        };
        let line = format!("  {word} {:<4} {points}/{}  {}", requirement.id, requirement.points, requirement.text);
        text += &(wrapped(&line, "                   ") + "\n");
        if let Err(fault) = outcome {
            for (name, value) in [("sent", &*fault.sent), ("came", &*fault.came), ("see", requirement.see)] {
                text += &(wrapped(&format!("                   {name}: {value}"), "                         ") + "\n");
            }
        }
    }
    let (reached, all) = points(graded);
    let failed = graded.iter().filter(|graded| graded.outcome.is_err()).count();
    text + &format!("\n{reached} of {all} points; {} of {} requirements are met\n", graded.len() - failed, graded.len())
}

/// The result as JSON.
pub fn json(url: &str, graded: &[Graded]) -> String {
    let requirement = |graded: &Graded| {
        let fault = graded.outcome.as_ref().err();
        json!({
            "id": graded.requirement.id,
            "exercise": graded.exercise.title(),
            "text": graded.requirement.text,
            "points": graded.requirement.points,
            "met": fault.is_none(),
            "sent": fault.map(|fault| &fault.sent),
            "came": fault.map(|fault| &fault.came),
            "see": graded.requirement.see,
        })
    };
    let (reached, all) = points(graded);
    let requirements: Vec<_> = graded.iter().map(requirement).collect();
    json!({ "url": url, "points": reached, "of": all, "requirements": requirements }).to_string()
}

/// The result as JUnit XML: a suite for each exercise.
pub fn junit(url: &str, graded: &[Graded]) -> String {
    let case = |graded: &Graded| {
        let name = escape(&format!("{} {}", graded.requirement.id, graded.requirement.text));
        let class = escape(graded.exercise.title());
        match &graded.outcome {
            Ok(()) => format!("    <testcase classname=\"{class}\" name=\"{name}\"/>\n"),
            Err(fault) => format!(
                "    <testcase classname=\"{class}\" name=\"{name}\">\n      <failure message=\"{}\">sent: {}\nsee: {}</failure>\n    </testcase>\n",
                xml(&fault.came),
                xml(&fault.sent),
                xml(graded.requirement.see)
            ),
        }
    };
    let suite = |exercise: Exercise| {
        let ours: Vec<&Graded> = graded.iter().filter(|graded| graded.exercise == exercise).collect();
        if ours.is_empty() {
            return String::new();
        }
        let failed = ours.iter().filter(|graded| graded.outcome.is_err()).count();
        let cases: String = ours.iter().map(|graded| case(graded)).collect();
        let title = escape(exercise.title());
        format!(
            "  <testsuite name=\"{title}\" tests=\"{}\" failures=\"{failed}\">\n{cases}  </testsuite>\n",
            ours.len()
        )
    };
    let suites: String = ALL.into_iter().map(suite).collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\">\n{suites}</testsuites>\n", xml(url))
}

/// A text in XML, without the control characters that it may not have.
fn xml(text: &str) -> String {
    escape(
        &text
            .chars()
            .map(|c| if c.is_control() && c != '\n' || matches!(c, '\u{fffe}' | '\u{ffff}') { '\u{fffd}' } else { c })
            .collect::<String>(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::wire::Fault;
    use super::*;

    fn graded() -> Vec<Graded> {
        let fault = Err(Fault { sent: "GET /poll?after=3".into(), came: "status 500 <\u{1}>".into() });
        let outcomes = [Ok(()), fault];
        let requirements = Exercise::Polling.requirements().zip(outcomes);
        requirements
            .map(|(requirement, outcome)| Graded { exercise: Exercise::Polling, requirement, outcome })
            .collect()
    }

    #[test]
    fn a_requirement_that_is_not_met_has_what_was_sent_and_what_came() {
        let text = text(&graded());
        assert!(text.contains("  ok     P1   2/2  Without a new event"), "{text}");
        assert!(
            text.contains("FAILED P2   0/3")
                && text.contains("sent: GET /poll?after=3")
                && text.contains("came: status 500")
        );
        assert!(text.ends_with("\n2 of 5 points; 1 of 2 requirements are met\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn graders_get_json_and_well_formed_xml() {
        let json: serde_json::Value = serde_json::from_str(&json("http://a:1", &graded())).unwrap();
        assert_eq!((json["points"].as_u64(), json["of"].as_u64()), (Some(2), Some(5)));
        assert_eq!(json["requirements"][1]["sent"], "GET /poll?after=3");
        let xml = junit("http://a:1", &graded());
        assert!(xml.contains("<testsuite name=\"Polling\" tests=\"2\" failures=\"1\">"), "{xml}");
        assert!(xml.contains("<failure message=\"status 500 &lt;\u{fffd}&gt;\">"), "{xml}");
    }
}
