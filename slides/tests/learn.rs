//! The story: each scene's figures are those of the recorded run, computed here from its JSON; both languages are complete; and the exported
//! site refers to nothing outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;
use slides::Destination;
use slides::learn::{self, File};

/// The recorded run, as plain JSON.
fn record() -> &'static Value {
    static RECORD: OnceLock<Value> = OnceLock::new();
    RECORD.get_or_init(|| {
        let run: &[u8] = include_bytes!("../../reports/record/all/run.json");
        serde_json::from_slice(run).unwrap()
    })
}

/// The facts of an experiment.
fn facts(experiment: &str) -> &'static Value {
    let parts = record()["parts"].as_array().unwrap();
    &parts.iter().find(|part| part["experiment"] == experiment).unwrap()["facts"]
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn files() -> &'static [File] {
    static FILES: OnceLock<Vec<File>> = OnceLock::new();
    FILES.get_or_init(|| learn::files(&slides::recorded().unwrap(), Destination::File).unwrap())
}

fn page(name: &str) -> &'static str {
    &files().iter().find(|file| file.name == name).unwrap().content
}

/// What the script knows of a scene.
fn scene(page: &str, name: &str) -> Value {
    let data = page.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
    let data: Value = serde_json::from_str(data).unwrap();
    list(&data["scenes"]).iter().find(|scene| scene["name"] == name).unwrap().clone()
}

/// The HTML of a scene.
fn section<'a>(page: &'a str, name: &str) -> &'a str {
    let start = format!("<section class=\"scene\" id=\"{name}\"");
    page.split_once(&*start).unwrap().1.split_once("</section>").unwrap().0
}

const PAGES: [&str; 2] = ["index.html", "index.ko.html"];

/// Asserts the answer of a scene on both pages, and that its fact names a figure.
fn assert_answer(name: &str, answer: f64, figure: &str) {
    for file in PAGES {
        let scene = scene(page(file), name);
        let found = number(&scene["prediction"]["answer"]);
        assert!((found - answer).abs() < 1e-9 * answer.abs().max(1.0), "{file} {name}: {found}, recorded {answer}");
        let fact = scene["fact"].as_str().unwrap();
        assert!(fact.contains(figure), "{file} {name}: {figure} is not in: {fact}");
    }
}

fn trace(transport: &str) -> &'static Value {
    list(&facts("ladder")["traces"]).iter().find(|trace| trace["transport"] == transport).unwrap()
}

#[test]
fn the_slowest_event_over_polling_is_that_of_the_recorded_trace() {
    let trace = trace("polling");
    let (published, delivered) = (list(&trace["published_ms"]), list(&trace["delivered_ms"]));
    let slowest = published.iter().zip(delivered).map(|(from, to)| number(to) - number(from)).fold(0.0, f64::max);
    assert_answer("ask", slowest, &format!("{slowest:.1} ms"));
}

#[test]
fn a_ladder_has_every_recorded_message_as_an_arrow_and_in_words() {
    for (name, transport) in [("ask", "polling"), ("wait", "long_polling")] {
        let length = number(&facts("ladder")["length_ms"]);
        let trace = trace(transport);
        let shown: Vec<&Value> =
            list(&trace["chunks"]).iter().filter(|chunk| number(&chunk["arrived_ms"]) <= length).collect();
        let events = list(&trace["published_ms"]).len();
        for file in PAGES {
            let section = section(page(file), name);
            // The heads of arrows are the only polygons.
            assert_eq!(section.matches("<polygon").count(), shown.len(), "{file} {name}");
            assert_eq!(section.matches("<li>").count(), shown.len() + 2 * events, "{file} {name}");
            for chunk in &shown {
                let words = [
                    format!("{:.0} ms", number(&chunk["left_ms"])),
                    format!("{:.0} ms", number(&chunk["arrived_ms"])),
                    chunk["bytes"].to_string(),
                ];
                let item = section.split("<li>").find(|item| words.iter().all(|word| item.contains(word)));
                assert!(item.is_some(), "{file} {name}: no item with {words:?}");
            }
        }
    }
}

#[test]
fn the_event_that_waits_over_long_polling_is_that_of_the_recorded_trace() {
    let trace = trace("long_polling");
    let waits: Vec<f64> = list(&trace["published_ms"])
        .iter()
        .map(|published| {
            let published = number(published);
            let later =
                list(&trace["chunks"]).iter().filter(|chunk| chunk["up"] == false && number(&chunk["events"]) > 0.0);
            later.map(|chunk| number(&chunk["left_ms"]) - published).find(|wait| *wait >= 0.0).unwrap()
        })
        .collect();
    let waited = waits.iter().copied().fold(0.0, f64::max);
    let index = waits.iter().position(|wait| *wait == waited).unwrap();
    assert_answer("wait", index as f64, &format!("{waited:.1} ms"));
}

/// The wire bytes of an event over a transport in the first comparison, all rounds together.
fn bytes_per_event(transport: &str, layers: &[&str]) -> f64 {
    let comparison = list(&record()["parts"]).iter().find(|part| part["kind"] == "comparison").unwrap();
    let ledgers = || {
        list(&comparison["rounds"])
            .iter()
            .filter(move |round| round["transport"] == transport)
            .map(|round| &round["window_ledger"])
    };
    let bytes: f64 = ledgers().flat_map(|ledger| layers.iter().map(|layer| number(&ledger[*layer]))).sum();
    bytes / ledgers().map(|ledger| number(&ledger["events"])).sum::<f64>()
}

#[test]
fn the_bytes_of_an_event_are_those_of_the_recorded_comparison() {
    let wire = |transport| bytes_per_event(transport, &["received_bytes", "sent_bytes"]);
    let sse = wire("sse");
    assert_answer("stream", sse, &format!("{sse:.0}"));
    for file in PAGES {
        let section = section(page(file), "stream");
        for transport in ["long_polling", "ndjson", "sse"] {
            let figure = format!(">{:.0} B</text>", wire(transport));
            assert!(section.contains(&figure), "{file}: {figure}");
        }
    }
}

#[test]
fn the_handshakes_are_those_that_were_recorded() {
    let status = |request: &str| {
        let trial = list(&facts("handshake")["requests"]).iter().find(|trial| trial["request"] == request).unwrap();
        let line = trial["response"].as_str().unwrap().lines().next().unwrap();
        line.trim_start_matches("HTTP/1.1 ").to_string()
    };
    let (plain, secure) = (status("through_proxy"), status("through_proxy_within_tls"));
    assert!(plain.starts_with("426") && secure.starts_with("101"), "the second option is the right one");
    assert_answer("upgrade", 1.0, &plain[..3]);
    assert_answer("upgrade", 1.0, &secure[..3]);
    assert!(section(page("index.html"), "upgrade").contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[test]
fn the_frame_is_the_one_that_was_recorded() {
    let trial = list(&facts("frames")["trials"]).iter().find(|trial| trial["sent"] == "text").unwrap();
    let frame = &trial["received"][0]["frame"];
    let header = list(&frame["header"]);
    assert_answer("frame", header.len() as f64, &header.len().to_string());
    let bits: String = header.iter().map(|byte| format!("{:08b}", byte.as_u64().unwrap())).collect();
    for file in PAGES {
        let section = section(page(file), "frame");
        let boxes =
            section.split_once("<div class=\"bits\">").unwrap().1.split_once("<div class=\"payload\">").unwrap().0;
        let shown: String = boxes.split("<code>").skip(1).map(|code| code.split_once("</code>").unwrap().0).collect();
        assert_eq!(shown, bits, "{file}");
        let payload = section.split_once("<div class=\"payload\">").unwrap().1;
        for byte in list(&frame["payload"]) {
            assert!(payload.contains(&format!("<code>{:02x} <b>", byte.as_u64().unwrap())), "{file}: {byte}");
        }
        for header in list(&facts("frames")["headers"]) {
            let (down, up) = (list(&header["down"]).len(), &header["up_bytes"]);
            let row = format!("<td>{down} B</td><td>{up} B</td></tr>");
            assert!(section.contains(&row), "{file}: {row}");
        }
    }
    let headers = bytes_per_event("long_polling", &["request_head_bytes", "response_head_bytes"]);
    assert!(section(page("index.html"), "frame").contains(&format!("long polling: {headers:.0} bytes")));
}

#[test]
fn what_arrived_after_a_cut_is_what_was_recorded() {
    let attempts: Vec<&Value> =
        list(&facts("fallback")["attempts"]).iter().filter(|attempt| attempt["proxy"] == "cuts_silence").collect();
    let socket = attempts.iter().find(|attempt| attempt["transport"] == "websocket").unwrap();
    assert_answer("break", number(&socket["received"]), &socket["published"].to_string());
    assert_answer("break", number(&socket["received"]), &(number(&socket["reconnects"]) + 1.0).to_string());
    let published: u64 = attempts.iter().map(|attempt| attempt["published"].as_u64().unwrap()).sum();
    let lost: u64 =
        attempts.iter().map(|attempt| attempt["received"].as_u64().unwrap()).sum::<u64>().abs_diff(published);
    for file in PAGES {
        let circles = section(page(file), "break").matches("<circle").count() as u64;
        assert_eq!(circles, published + lost, "{file}: a dot for each event, and a hole in those that were lost");
    }
}

#[test]
fn the_cost_of_idle_subscribers_is_what_was_recorded() {
    let largest = |transport: &str| {
        let group = list(&facts("idle")["groups"]).iter().rfind(|group| group["transport"] == transport).unwrap();
        let sum = |name: &str| list(&group["windows"]).iter().map(|window| number(&window[name])).sum::<f64>();
        sum("cpu_ms") / sum("seconds")
    };
    let polling = largest("polling");
    assert_answer("scale", polling, &format!("{polling:.1} ms"));
    for file in PAGES {
        let section = section(page(file), "scale");
        assert!(section.contains(&format!("{:.3} ms", largest("websocket"))), "{file}: the question names WebSocket's");
    }
}

#[test]
fn the_map_is_that_of_the_recorded_crossover() {
    // By hand for the asked cell: the mean CPU of polling for each subscriber, at the highest rate and the cheapest poll interval that was in
    // time, is below a half of every push transport's.
    let comparisons = list(&facts("crossover")["comparisons"]);
    let rate = comparisons.iter().map(|comparison| number(&comparison["scenario"]["rate"])).fold(0.0, f64::max);
    let delay = |comparison: &Value| comparison["scenario"]["network"]["delay_us"].as_u64().unwrap();
    let shortest = comparisons.iter().map(delay).min().unwrap();
    let mut costs: Vec<(f64, &str)> = Vec::new();
    for comparison in comparisons {
        if number(&comparison["scenario"]["rate"]) != rate || delay(comparison) != shortest {
            continue;
        }
        for round in list(&comparison["rounds"]) {
            let server = &round["server"];
            let transport = round["transport"].as_str().unwrap();
            let cost = match transport {
                "polling" => {
                    let seconds = number(&server["window_ns"]) / 1e9;
                    number(&server["cpu_ns"]) / 1e3 / seconds / number(&comparison["scenario"]["subscribers"])
                }
                _ => rate * number(&server["cpu_ns"]) / 1e3 / number(&server["deliveries"]),
            };
            costs.push((cost, transport));
        }
    }
    costs.sort_by(|one, other| one.0.total_cmp(&other.0));
    assert_eq!(costs[0].1, "polling");
    assert_answer("choose", 0.0, &format!("{:.1} us/s", costs[0].0));
    for file in PAGES {
        let section = section(page(file), "choose");
        assert_eq!(section.matches("<td data-best=").count(), 16, "{file}");
        assert_eq!(section.matches("data-asked").count(), 1, "{file}");
        assert!(section.contains("<td data-best=\"polling\" data-asked>"), "{file}");
    }
}

#[test]
fn every_scene_of_both_pages_has_its_parts_and_no_placeholder_remains() {
    for file in PAGES {
        let page = page(file);
        assert_eq!(page.matches("<section class=\"scene\"").count(), 8, "{file}");
        assert_eq!(page.matches("<legend").count(), 8, "{file}");
        assert_eq!(page.matches("<div class=\"measurement\" hidden>").count(), 8, "{file}");
        assert_eq!(page.matches("cargo run --release").count(), 8, "{file}");
        assert!(!page.contains("{{"), "{file}");
        // Outside of the script's data, nothing is left to fill in.
        let (html, _) = page.split_once("<script").unwrap();
        assert!(!html.contains('{'), "{file}: {}", html.split('{').nth(1).unwrap_or_default());
    }
    let claims =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../reports/record/all/tables/claims-1.csv"));
    let claims = claims.unwrap();
    let stated = page("index.html").split("Course notes say: “").skip(1);
    let stated: Vec<&str> = stated.map(|rest| rest.split_once('”').unwrap().0).collect();
    assert_eq!(stated.len(), 7);
    for claim in stated {
        let line = claims.lines().find(|line| line.contains(claim)).unwrap_or_else(|| panic!("no claim is {claim}"));
        let verdict = line.split(claim).nth(1).unwrap().trim_matches(['"', ',']).split(',').next().unwrap();
        assert!(
            page("index.html").contains(&format!("“{claim}” Measured here: <b>{verdict}</b>")),
            "{claim}: {verdict}"
        );
    }
}

/// An empty directory for one test.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn an_exported_site_refers_only_to_its_own_files() {
    let directory = scratch("site").join("new");
    learn::export(&directory).unwrap();
    for name in ["index.html", "index.ko.html", "learn.js", "learn.css"] {
        // The name of SVG's namespace looks like an address; nothing is loaded from there.
        let text =
            fs::read_to_string(directory.join(name)).unwrap().replace(" xmlns=\"http://www.w3.org/2000/svg\"", "");
        for outside in ["http://", "https://", "@import", "url(", "import ", "fetch(", "//www"] {
            assert!(!text.contains(outside), "{name}: {outside}");
        }
        for link in ["src=\"", "href=\""] {
            for target in text.split(link).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                let is_within = target.starts_with('#') || target.starts_with("data:");
                assert!(is_within || directory.join(target).is_file(), "{name} refers to {target}");
            }
        }
    }
    // The lecture beside it leads to the story and to the pages to print.
    for (name, story) in [("en", "../index.html"), ("ko-handout", "../index.ko.html")] {
        let lecture = directory.join("lecture");
        let slides = fs::read_to_string(lecture.join(format!("{name}.html"))).unwrap();
        let targets: Vec<&str> = slides.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        // Once on the first slide, which has no scene here, and once on the title.
        assert_eq!(targets.iter().filter(|target| **target == story).count(), 2, "{name}: {targets:?}");
        for target in targets.iter().filter(|target| !target.starts_with("data:")) {
            assert!(lecture.join(target).is_file(), "{name} refers to {target}");
        }
    }
    // It is written again, but not beside a file that is somebody's own.
    learn::export(&directory).unwrap();
    fs::write(directory.join("notes.txt"), "mine").unwrap();
    let error = format!("{:#}", learn::export(&directory).unwrap_err());
    assert!(error.contains("contains notes.txt, which is not of an exported site"), "{error}");
}

#[test]
fn other_files_are_never_overwritten() {
    let directory = scratch("mine");
    fs::write(directory.join("index.html"), "<p>my own page</p>").unwrap();
    let error = format!("{:#}", learn::export(&directory).unwrap_err());
    assert!(
        error.contains("contains index.html, which is not of an exported site") && !error.contains('\n'),
        "{error}"
    );
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(directory.join("index.html")).unwrap(), "<p>my own page</p>");
    let error = format!("{:#}", learn::export(&directory.join("index.html")).unwrap_err());
    assert!(error.contains("as a directory"), "{error}");
}
