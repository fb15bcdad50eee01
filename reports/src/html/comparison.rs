//! The chapter of a comparison: the results in sentences, the charts, the table, which transports differ, the method.

use std::fmt::Write;

use protocol::experiment::Table;
use protocol::result::Comparison;

use super::{escape, table};
use crate::answer;
use crate::capacity;
use crate::chart::Figure;
use crate::judge::is_sound;
use crate::number::{short, short_or_dash, thousands};
use crate::ranking::{CRITERIA, ranking};
use crate::statistics::Ratio;
use crate::summary::{Row, rows};
use crate::table::{COLUMNS, scenario};

/// The chapter, with `charts` drawn from it.
pub fn chapter(comparison: &Comparison, charts: &[Figure]) -> String {
    let mut text = "<section class=\"answer\">\n".to_string();
    for sentence in answer::sentences(comparison) {
        text += &format!("<p>{}</p>\n", escape(&sentence));
    }
    text += &format!("<p class=\"scenario\">{}</p>\n</section>\n", escape(&scenario(comparison)));
    text += &super::doubts("Warnings", &answer::doubts(comparison));
    charts.iter().for_each(|figure| text += &super::figure(figure));
    text += &[figures(comparison), differences(comparison), quality(comparison)].join("\n");
    text + &method(comparison) + "\n"
}

/// The needs of many more subscribers, extrapolated from this comparison.
pub fn capacity(comparison: &Comparison) -> String {
    format!("{}<p>{}</p>\n", table(&capacity::table(comparison)), escape(&capacity::assumptions(comparison)))
}

fn figures(comparison: &Comparison) -> String {
    let mut text =
        "<section>\n<h2>All figures</h2>\n<div class=\"wide\">\n<table>\n<thead>\n<tr><th>Transport</th>".to_string();
    for column in COLUMNS {
        write!(text, "<th>{}<span>{}</span></th>", column.heading, column.unit).expect("writing to memory");
    }
    text += "<th>rounds<span>sound</span></th></tr>\n</thead>\n<tbody>\n";
    for row in rows(comparison) {
        write!(text, "<tr><th>{}</th>", row.transport.label()).expect("writing to memory");
        for column in COLUMNS {
            write!(text, "<td>{}</td>", short_or_dash((column.value)(&row))).expect("writing to memory");
        }
        writeln!(text, "<td>{}/{}</td></tr>", row.sound, row.sound + row.rejected).expect("writing to memory");
    }
    text + "</tbody>\n</table>\n</div>\n<p>A percentile is given only where at least ten deliveries and five different \
            events lie beyond it. Latencies of all sound rounds are merged; CPU is the geometric mean of rounds. Bytes and requests are \
            those of the measurement windows; the bytes of opening are sent once for each connection.</p>\n</section>"
}

/// Which transports differ significantly, with the intervals of all pairs.
fn differences(comparison: &Comparison) -> String {
    let rows: Vec<Row> = rows(comparison).into_iter().filter(|row| row.sound > 0).collect();
    let rankings: Vec<_> =
        CRITERIA.iter().filter_map(|criterion| Some((criterion.name, ranking(&rows, criterion)?))).collect();
    if rankings.is_empty() {
        return String::new();
    }
    let mut text =
        "<section>\n<h2>Which transports differ</h2>\n<div class=\"wide\">\n<table class=\"ranking\">\n".to_string();
    for (name, ranking) in &rankings {
        write!(text, "<tr><th>{name}</th><td>").expect("writing to memory");
        for rank in &ranking.ranks {
            write!(text, "<span>{}<small>{}</small></span>", rank.transport.label(), rank.letters)
                .expect("writing to memory");
        }
        text += "</td></tr>\n";
    }
    write!(text, "</table>\n</div>\n<p>{} ", answer::LETTERS).expect("writing to memory");
    text += "Rounds that ran next to each other are paired; the intervals come from bootstrapping the pairs, and the correction for their \
             number is Holm's. Doubtful rounds are left out, and so is a transport with too few other rounds.</p>\n";
    for (name, ranking) in &rankings {
        let pairs = ranking.pairs.iter().map(|pair| {
            let sign = if pair.differs { "" } else { "not significant" };
            let Ratio { estimate, low, high, .. } = pair.ratio;
            let (greater, lesser) = (pair.greater.label().to_string(), pair.lesser.label().to_string());
            vec![greater, lesser, short(estimate), format!("{} to {}", short(low), short(high)), sign.into()]
        });
        let table = Table {
            title: String::new(),
            columns: ["", "compared with", "times", "95 %", ""].map(Into::into).to_vec(),
            rows: pairs.collect(),
        };
        let pairs = super::rows_of(&table);
        writeln!(text, "<details>\n<summary>{name}: all pairs</summary>\n{pairs}</details>")
            .expect("writing to memory");
    }
    text + "</section>"
}

/// Figures that show how reliable the measurement was: publisher lateness, naive latency, client lag and CPU, and the number of samples.
fn quality(comparison: &Comparison) -> String {
    let ms = |histogram: &protocol::Histogram, quantile| {
        short_or_dash(histogram.supported_quantile(quantile).map(|ns| ns as f64 / 1e6))
    };
    let mut text = "<section>\n<h2>Measurement quality</h2>\n<div class=\"wide\">\n<table>\n<thead>\n<tr><th>Transport</th>\
        <th>latency<span>p99, ms</span></th><th>naive<span>p99, ms</span></th><th>publisher late<span>p90, ms</span></th>\
        <th>client lag<span>p90, ms</span></th><th>client CPU<span>us/event</span></th>\
        <th>events<span>in the windows</span></th>\
        <th>events<span>at or beyond p99</span></th><th>deliveries<span>in the windows</span></th>\
        <th>connect<span>ms, all</span></th></tr>\n</thead>\n<tbody>\n"
        .to_string();
    for row in rows(comparison) {
        let sound = || comparison.rounds_of(row.transport).filter(|round| is_sound(round));
        let mut lag = protocol::Histogram::default();
        sound().for_each(|round| lag.merge(&round.client.lag_ns));
        let deliveries: u64 = sound().map(|round| round.server.deliveries).sum();
        let client_cpu: u64 = sound().map(|round| round.client.cpu_ns).sum();
        let connect: Vec<f64> = sound().map(|round| round.client.connect_ns as f64 / 1e6).collect();
        let Row { transport, latency, slowest, naive, lateness, .. } = &row;
        writeln!(
            text,
            "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            transport.label(),
            short_or_dash(row.latency_ms(0.99)),
            ms(naive, 0.99),
            ms(lateness, 0.9),
            ms(&lag, 0.9),
            short(client_cpu as f64 / 1e3 / deliveries.max(1) as f64),
            thousands(slowest.count()),
            row.events_beyond(0.99).map_or("-".into(), thousands),
            thousands(latency.count()),
            short_or_dash(crate::summary::median(&connect)),
        )
        .expect("writing to memory");
    }
    text + "</tbody>\n</table>\n</div>\n<p>Latency counts from the scheduled publish time; naive latency from the moment the \
            event entered the feed, so it omits any delay of the publisher. Client lag is how late the client's own \
            event loop was, its timer's granularity of 1 ms included.</p>\n</section>"
}

/// The method, in short.
fn method(comparison: &Comparison) -> String {
    let server = match comparison.scenario.url {
        None => "Each round has its own server process",
        Some(_) => "All rounds used the same server, which was already running",
    };
    METHOD.replace("{server}", server)
}

const METHOD: &str = "<section>\n<h2>How it was measured</h2>\n<ul>\n\
<li>One server carries one feed over every transport; the events' bytes are the same for all of them. \
{server}; rounds are interleaved in seeded random order.</li>\n\
<li>Events are published on a fixed schedule by a separate thread. Latency is measured from the scheduled time until the subscriber \
has decoded the event, on one monotonic clock, so every stall in between is part of it.</li>\n\
<li>Bytes are counted at the client's sockets, both ways, and attributed to a layer where they are parsed; a byte that \
cannot be attributed rejects the round. TCP and IP headers are not in them.</li>\n\
<li>A round counts only if every subscriber received every event exactly once and in order.</li>\n\
<li>Server CPU is the CPU time of the process, user and kernel. On loopback it includes the kernel's work of receiving for \
the client.</li>\n</ul>\n</section>";
