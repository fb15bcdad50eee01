//! Two servers: what their subscribers receive with a feed of their own each, and with one that they share.

use protocol::experiment::{Experiment, Status, Table, Verdict};
use protocol::facts::shared_feed::{FeedTrial, Resumed, SharedFeedFacts};

use super::claims::verdict;
use super::evidence::{Answer, Estimate};
use crate::number::short_or_dash;
use crate::statistics;

/// Claim 50: more than one server needs a shared feed. `own` is whether, with a feed of its own for each server, events reach the
/// subscribers of both in one order, and a subscriber can go from one to the other; `shared` is whether they do with a shared feed.
pub fn needs_a_shared_feed(own: Answer, shared: Answer) -> Status {
    match (own, shared) {
        (Answer::Yes, _) | (Answer::No, Answer::No) => Status::DoesNotHold,
        (Answer::No, Answer::Yes) => Status::Holds,
        (Answer::Unclear, _) | (Answer::No, Answer::Unclear) => Status::NotMeasurable,
    }
}

/// Whether events were published through both servers, every one reached the subscribers of both in one order, and the subscribers that went from
/// A to B received what they had missed. Unclear if an event did not come in time: on a slow machine, it may only have been late.
fn is_one_feed(trial: &FeedTrial) -> Answer {
    let FeedTrial { published, received_a, received_b, differing, disorder, resumed, .. } = trial;
    let all_came = received_a == published && received_b == published && *differing == 0;
    let has_changed = !resumed.is_empty() && resumed.iter().all(is_complete);
    match published.a > 0 && published.b > 0 && all_came && has_changed && *disorder == 0 {
        true => Answer::Yes,
        // Lateness repeats and reorders nothing.
        false if trial.timed_out && *disorder == 0 => Answer::Unclear,
        false => Answer::No,
    }
}

fn is_complete(resumed: &Resumed) -> bool {
    let Resumed { gap, missed, received, repeated, other, .. } = resumed;
    !gap && *missed > 0 && received == missed && *repeated == 0 && *other == 0
}

/// The middle one of some figures, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some((low + high) / 2.0)
}

/// The trials of one kind.
struct Kind<'a> {
    name: &'static str,
    trials: Vec<&'a FeedTrial>,
}

impl<'a> Kind<'a> {
    fn of(facts: &'a SharedFeedFacts, shared: bool) -> Self {
        let name = if shared { "a shared feed" } else { "a feed each" };
        Self { name, trials: facts.trials.iter().filter(|trial| trial.shared == shared).collect() }
    }

    fn sum(&self, of: impl Fn(&FeedTrial) -> u64) -> u64 {
        self.trials.iter().map(|trial| of(trial)).sum()
    }

    /// Whether both servers had one feed, in every trial.
    fn is_one_feed(&self) -> Answer {
        Answer::all(self.trials.iter().map(|trial| is_one_feed(trial)))
    }

    /// The median latency in each trial, in ms.
    fn medians(&self, of: fn(&FeedTrial) -> &Vec<f64>) -> Vec<f64> {
        self.trials.iter().filter_map(|trial| median(of(trial).clone())).collect()
    }

    /// A count of the subscriptions that were begun with a cursor of A at B, of all trials.
    fn resumed(&self, with_epoch: bool, of: fn(&Resumed) -> u64) -> u64 {
        let of_trial =
            |trial: &FeedTrial| trial.resumed.iter().filter(|one| one.with_epoch == with_epoch).map(of).sum();
        self.sum(of_trial)
    }

    /// What happened in words; `None` without a trial.
    fn in_words(&self) -> Option<String> {
        self.trials.first()?;
        let came = |with_epoch| {
            let count = |of| self.resumed(with_epoch, of);
            format!(
                "{} of {} missed events, {} repeated ones and {} of another feed, with a gap reported in {} of {} trials",
                count(|one| one.received),
                count(|one| one.missed),
                count(|one| one.repeated),
                count(|one| one.other),
                count(|one| one.gap.into()),
                self.trials.len(),
            )
        };
        Some(format!(
            "With {}, {} of {} events that were published through A came to the subscribers of B, and both servers' subscribers had \
             different events at {} positions; {} events came again or out of order. A subscriber of A that resumed at B by the number of its cursor received {}; if the \
             cursor also named its feed, {}",
            self.name,
            self.sum(|trial| trial.received_b.a),
            self.sum(|trial| trial.published.a),
            self.sum(|trial| trial.differing),
            self.sum(|trial| trial.disorder),
            came(false),
            came(true),
        ))
    }
}

/// Derives the experiment from its facts.
pub fn derive(facts: &SharedFeedFacts) -> Experiment {
    let kinds = [Kind::of(facts, false), Kind::of(facts, true)];
    let [own, shared] = &kinds;
    let at_a: fn(&FeedTrial) -> &Vec<f64> = |trial| &trial.at_a_ms;
    let at_b: fn(&FeedTrial) -> &Vec<f64> = |trial| &trial.at_b_ms;
    let ratio = Estimate::from(statistics::ratio(&shared.medians(at_a), &own.medians(at_a)));
    let of_all = |kind: &Kind, of| short_or_dash(median(kind.medians(of)));
    let counts = kinds.iter().filter(|kind| !kind.trials.is_empty()).map(|kind| {
        vec![
            kind.name.into(),
            kind.trials.len().to_string(),
            format!("{} of {}", kind.sum(|trial| trial.received_b.a), kind.sum(|trial| trial.published.a)),
            format!("{} of {}", kind.sum(|trial| trial.received_a.b), kind.sum(|trial| trial.published.b)),
            kind.sum(|trial| trial.differing).to_string(),
            kind.sum(|trial| trial.disorder).to_string(),
            of_all(kind, at_a),
            of_all(kind, at_b),
        ]
    });
    let resumed = kinds.iter().filter(|kind| !kind.trials.is_empty()).flat_map(|kind| {
        [(false, "its number"), (true, "its number and its feed")].map(|(with_epoch, cursor)| {
            let count = |of: fn(&Resumed) -> u64| kind.resumed(with_epoch, of);
            vec![
                kind.name.into(),
                cursor.into(),
                format!("{} of {}", count(|one| one.received), count(|one| one.missed)),
                count(|one| one.repeated).to_string(),
                count(|one| one.other).to_string(),
                format!("{} of {}", count(|one| one.gap.into()), kind.trials.len()),
            ]
        })
    });
    let cost = match &facts.broker {
        Some(broker) => format!(
            "An event takes {} ms from its publisher to a subscriber of the same server with a feed of its own, and {} ms through the \
             broker ({broker}): {} times as long",
            of_all(own, at_a),
            of_all(shared, at_a),
            ratio.in_words()
        ),
        None => "With a shared feed: not measured".into(),
    };
    let in_words: Vec<String> = kinds.iter().filter_map(Kind::in_words).chain([cost]).collect();
    let waited = facts.trials.iter().filter(|trial| trial.timed_out).count();
    let late = format!(
        "In {waited} of {} trials, an event was waited for in vain. What is missing there may only have been late, so these trials decide \
         nothing, unless events came again or out of order.",
        facts.trials.len()
    );
    let missing = "Nothing was measured with a shared feed: there was no nats-server in the path, or it did not start.";
    Experiment {
        title: "Two servers, with a feed each and with a shared one".into(),
        question: "What do the subscribers of two servers receive, and what does it take for both to have one feed?".into(),
        answer: in_words.iter().map(|sentence| format!("{sentence}.")).collect(),
        doubts: facts.broker.is_none().then(|| missing.into()).into_iter().chain((waited > 0).then_some(late)).collect(),
        tables: vec![
            Table {
                title: "Events published through one server, at the subscribers of the other".into(),
                columns: [
                    "servers with",
                    "trials",
                    "published through A, received at B",
                    "published through B, received at A",
                    "positions with different events",
                    "repeated or out of order",
                    "median latency through A, at A, ms",
                    "through A, at B, ms",
                ]
                .map(Into::into)
                .to_vec(),
                rows: counts.collect(),
            },
            Table {
                title: "A subscriber of A that resumes at B".into(),
                columns: ["servers with", "cursor", "missed events received", "repeated", "of another feed", "gap reported"]
                    .map(Into::into)
                    .to_vec(),
                rows: resumed.collect(),
            },
        ],
        verdicts: vec![Verdict {
            figure: in_words.join(". "),
            why: "Each server numbers the events of its own feed. So an event reaches the subscribers of the server that it was \
                  published through, and the number of a cursor means another event at the other server. A feed that all servers read \
                  from one place has one order and one numbering."
                .into(),
            prediction: "With a feed of its own for each server, events do not reach the subscribers of both, or not in one order, or a \
                         subscriber cannot go from one to the other without a loss. With a shared feed, all of that works."
                .into(),
            refuted_by: "Servers with a feed each between which nothing is lost, or a shared feed that loses, repeats or reorders an event."
                .into(),
            working_point: format!(
                "Two servers and {} events through each of them three times: one after another, both at once, and while a subscriber \
                 goes from A to B; loopback, no failures.",
                facts.events
            ),
            turns_at: "One server needs no shared feed, nor do servers whose clients need not receive the same events. A balancer that \
                       sends a client to the same server each time hides the second server until the first one fails."
                .into(),
            ..verdict(50, needs_a_shared_feed(own.is_one_feed(), shared.is_one_feed()))
        }],
        method: vec![
            format!(
                "Each trial starts two new servers, with a feed of their own or with a new stream of one NATS JetStream broker; the \
                 kinds alternate, and the broker runs during all trials. Each event has a text of its own, by which it is recognized at \
                 the other server, whatever its number there. {} events are published through A and B by turns, {0} through both at \
                 once, and {0} after a subscriber of A has left.",
                facts.events
            ),
            "Latency runs from the request to publish an event until a subscriber over HTTP streaming has it; its median is taken for \
             each trial, and the ratio over trials next to each other."
                .into(),
            "The broker stores each event in a file before it confirms it, and does not wait for the disk. No server and no broker \
             fails in a trial; that this loses nothing either is a test of the server's (`server/tests/shared_feed.rs`)."
                .into(),
        ],
        ..Experiment::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::fabricated;
    use protocol::facts::Facts;
    use protocol::facts::shared_feed::Origins;

    fn facts() -> SharedFeedFacts {
        let found = fabricated::facts().into_iter().find_map(|facts| match facts {
            Facts::SharedFeed(facts) => Some(facts),
            _ => None,
        });
        found.unwrap()
    }

    #[test]
    fn the_verdict_follows_from_every_loss_repetition_and_disorder() {
        let status = |facts: &SharedFeedFacts| derive(facts).verdicts[0].status;
        assert_eq!(status(&facts()), Status::Holds);
        let changes: [fn(&mut FeedTrial); 9] = [
            |trial| trial.received_b.a -= 1,
            |trial| trial.differing = 1,
            |trial| trial.disorder = 1,
            |trial| trial.resumed[0].received -= 1,
            |trial| trial.resumed[0].repeated = 1,
            |trial| trial.resumed[1].gap = true,
            // Nothing was tried, so that nothing was lost either.
            |trial| (trial.resumed[0].missed, trial.resumed[0].received) = (0, 0),
            |trial| trial.resumed.clear(),
            |trial| {
                let through_a = Origins { b: 0, ..trial.published };
                (trial.published, trial.received_a, trial.received_b) = (through_a, through_a, through_a);
            },
        ];
        for change in changes {
            let mut facts = facts();
            facts.trials.iter_mut().filter(|trial| trial.shared).take(1).for_each(change);
            assert_eq!(status(&facts), Status::DoesNotHold);
        }
        let mut same = facts();
        let shared = same.trials[1].clone();
        same.trials.iter_mut().for_each(|trial| *trial = FeedTrial { shared: trial.shared, ..shared.clone() });
        assert_eq!(status(&same), Status::DoesNotHold, "a feed each does as well");
    }

    #[test]
    fn what_was_waited_for_in_vain_decides_nothing() {
        let mut late = facts();
        let shared = late.trials.iter().position(|trial| trial.shared).unwrap();
        late.trials[shared].timed_out = true;
        assert_eq!(derive(&late).verdicts[0].status, Status::Holds, "everything came all the same");
        late.trials[shared].received_b.a -= 1;
        let experiment = derive(&late);
        assert_eq!(experiment.verdicts[0].status, Status::NotMeasurable);
        assert!(experiment.doubts[0].contains("In 1 of 10 trials"), "{:?}", experiment.doubts);
        late.trials[shared].disorder = 1;
        assert_eq!(derive(&late).verdicts[0].status, Status::DoesNotHold);
    }

    #[test]
    fn without_a_broker_the_claim_is_not_measurable_and_the_report_says_so() {
        let mut facts = facts();
        facts.broker = None;
        facts.trials.retain(|trial| !trial.shared);
        let experiment = derive(&facts);
        assert_eq!(experiment.verdicts[0].status, Status::NotMeasurable);
        assert!(experiment.doubts[0].contains("no nats-server"), "{:?}", experiment.doubts);
        assert!(experiment.tables[0].rows.len() == 1 && experiment.answer.concat().contains("not measured"));
    }

    #[test]
    fn a_median_is_the_middle_one() {
        assert_eq!((median(vec![]), median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0])), (None, Some(2.0), Some(2.5)));
    }
}
